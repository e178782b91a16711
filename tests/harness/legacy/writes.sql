-- For pgbench: one request of the service before that writes. Columns that it does not know get their defaults.
\set number random(1, :users)
\set chat random(1, :insights)
\set new random(1, 1000000000000)
\set kind random(1, 6)
begin;
select coalesce(max(id), 0) as me from users where anonymous_id = md5(:number::text)::uuid::text \gset
\if :me > 0 and :kind = 1
    -- an insight, looked for and made, and what is said about it
    select coalesce(max(id), 0) as found from saved_insights
     where passage_reference = 'Exodus ' || :new::bigint and passage_text = 'text ' || :new::bigint \gset
    insert into saved_insights (passage_reference, passage_text, historical_context, theological_significance,
                                practical_application)
    values ('Exodus ' || :new::bigint, 'text ' || :new::bigint, 'history', 'theology', 'practice') returning id as insight \gset
    insert into user_insights (user_id, insight_id) values (:me, :insight);
    insert into chat_messages (insight_id, user_id, role, content) values (:insight, :me, 'user', 'Why?');
    insert into chat_messages (insight_id, user_id, role, content, was_truncated)
    values (:insight, :me, 'assistant', 'Because.', true);
    insert into conversation_summaries (conversation_type, conversation_id, summary_text, message_count)
    values ('insight', :insight, 'a summary', 2);
    delete from user_insights where user_id = :me and insight_id = :insight;
\elif :me > 0 and :kind = 2
    insert into standalone_chats (user_id, title) values (:me, 'new') returning id as made \gset
    insert into standalone_chat_messages (chat_id, role, content, was_truncated) values (:made, 'user', 'Who?', false);
    insert into standalone_chat_messages (chat_id, role, content) values (:made, 'assistant', 'He.');
    update standalone_chats set updated_at = now() where id = :made;
    insert into conversation_summaries (conversation_type, conversation_id, summary_text, message_count)
    values ('standalone', :made, 'a summary', 2)
    on conflict (conversation_type, conversation_id) do update set summary_text = excluded.summary_text;
\elif :me > 0 and :kind = 3
    insert into usage_tracking (user_id, date, llm_calls) values (:me, date_trunc('day', now(), 'UTC'), 1)
    on conflict (user_id, date) do update set llm_calls = usage_tracking.llm_calls + 1, updated_at = now();
\elif :me > 0 and :kind = 4
    insert into user_devices (user_id, device_name, device_type, user_agent) values (:me, 'Browser', 'desktop', 'Mozilla/5.0')
    returning id as device \gset
    update users set device_count = device_count + 1 where id = :me;
    insert into device_link_codes (code, display_code, source_user_id, source_device_id, expires_at, status)
    values (encode(sha256(:new::text::bytea), 'hex'), 'N-' || :new::bigint, :me, :device, now() + interval '5 minutes', 'pending');
\elif :me > 0 and :kind = 5
    -- a new user links this device, and is merged
    insert into users (anonymous_id, device_count, pro_subscription) values (md5('n' || :new::bigint)::uuid::text, 1, false)
    returning id as gone \gset
    insert into standalone_chats (user_id, title) values (:gone, 'his');
    insert into user_devices (user_id, user_agent) values (:gone, 'Mozilla/5.0');
    insert into usage_tracking (user_id, date, llm_calls) values (:gone, date_trunc('day', now(), 'UTC'), 1);
    update standalone_chats set user_id = :me where user_id = :gone;
    update chat_messages set user_id = :me where user_id = :gone;
    update user_insights set user_id = :me where user_id = :gone;
    update user_definitions set user_id = :me where user_id = :gone;
    update user_devices set user_id = :me where user_id = :gone;
    update users set device_count = device_count + 1 where id = :me;
    delete from users where id = :gone;
\elif :me > 0
    insert into saved_definitions (word, passage_reference, verse_text, definition, biblical_usage, original_language)
    values ('word', 'Exodus ' || :new::bigint, 'verse ' || :new::bigint, 'definition', 'usage', 'language')
    returning id as made \gset
    insert into user_definitions (user_id, definition_id) values (:me, :made);
\endif
commit;
