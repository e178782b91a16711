-- What the baseline lacks: whose an imported text is, where a merged user went, summaries of one user's own chat, and
-- reservations of the daily allowance. No statement here rewrites a table.

-- Who imported the text; null: it was generated here and is everybody's. What a user imported is answered to him only.
-- ACCESS EXCLUSIVE on the table and SHARE ROW EXCLUSIVE on users, for the check of a key that is null in every row.
alter table saved_insights add column imported_by integer references users on delete cascade;
alter table saved_definitions add column imported_by integer references users on delete cascade;

-- Where users went that were merged into others; kept flat: user_id is never one that was merged away.
create table merged_users (
    anonymous_id varchar(36) primary key,
    user_id integer not null references users on delete cascade
);
create index idx_merged_users_user on merged_users (user_id);

-- The id of the user with that anonymous id, or of the one he was merged into; null when there is neither. It stands in
-- every statement that acts for a user; in PL/pgSQL its plan is kept, and its second look is taken only after a miss.
create function current_user_id(anonymous text) returns integer
    language plpgsql stable strict parallel safe as $$
declare
    found_id integer;
begin
    select id into found_id from users where anonymous_id = anonymous;
    if found_id is null then
        select user_id into found_id from merged_users where anonymous_id = anonymous;
    end if;
    return found_id;
end
$$;

-- Summaries of an insight's chat, by user: insights are shared, what was said about them is not. The older table goes on
-- for stand-alone chats.
create table insight_chat_summaries (
    user_id integer not null references users on delete cascade,
    insight_id integer not null references saved_insights on delete cascade,
    summary_text text not null,
    message_count integer not null,
    last_message_id integer,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (user_id, insight_id)
);
create index idx_insight_chat_summaries_insight on insight_chat_summaries (insight_id);

-- Calls of the day that are under way, each as the time at which it counts no longer if nobody settles it.
-- ACCESS EXCLUSIVE, for a moment: a constant default is kept beside the rows.
alter table usage_tracking add column reserved timestamptz[] not null default '{}';
