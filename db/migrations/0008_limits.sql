-- What is counted of the limits of a minute: a row for each who and message, which the next window takes over. A new table;
-- no lock that others notice. Unlogged, because after a crash of the server a minute begins anew.
create unlogged table rate_windows (
    who varchar(64) not null,
    method varchar(64) not null,
    began timestamptz not null,
    calls integer not null,
    primary key (who, method)
);
create index idx_rate_windows_began on rate_windows (began);

-- A list of reservations without one that expires at that time; the list itself where none does.
create function without_one(reserved timestamptz[], expiry timestamptz) returns timestamptz[]
    language sql immutable strict parallel safe as $$
    select case when array_position(reserved, expiry) is null then reserved
           else reserved[:array_position(reserved, expiry) - 1] || reserved[array_position(reserved, expiry) + 1:] end
$$;
