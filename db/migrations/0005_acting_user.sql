-- Who a statement acts for. New functions only; no lock that others notice.

-- The id of the user with that anonymous id, or of the one he was merged into, and then also that one's own anonymous id
-- (`kept`; else null): the caller should use it from now on. One row always; both null when there is nobody. In PL/pgSQL its
-- plans are kept, and its second look is taken only after a miss.
create function acting_user(anonymous text, out id integer, out kept text)
    language plpgsql stable parallel safe as $$
begin
    select users.id into id from users where users.anonymous_id = anonymous;
    if id is null then
        select users.id, users.anonymous_id into id, kept
          from merged_users join users on users.id = merged_users.user_id
         where merged_users.anonymous_id = anonymous;
    end if;
end
$$;
