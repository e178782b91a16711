-- For pgbench: one request of the service before that reads, with the statements that its tables imply. It names all
-- columns that it knows and no others.
\set number random(1, :users)
\set insight random(1, :insights)
\set chat random(1, :insights)
begin;
select coalesce(max(id), 0) as me from users where anonymous_id = md5(:number::text)::uuid::text \gset
select id, anonymous_id, created_at, device_count, pro_subscription from users where id = :me;
select saved_insights.id, passage_reference, passage_text, historical_context, theological_significance,
       practical_application, saved_insights.created_at
  from saved_insights join user_insights on insight_id = saved_insights.id
 where user_id = :me order by user_insights.created_at desc limit 50;
select saved_definitions.id, word, passage_reference, verse_text, definition, biblical_usage, original_language,
       saved_definitions.created_at
  from saved_definitions join user_definitions on definition_id = saved_definitions.id
 where user_id = :me order by user_definitions.created_at desc limit 50;
select id, insight_id, user_id, role, content, was_truncated, created_at from chat_messages
 where insight_id = :insight and user_id = :me order by created_at;
select id, user_id, title, passage_reference, passage_text, created_at, updated_at from standalone_chats
 where user_id = :me order by updated_at desc limit 50;
select id, chat_id, role, content, was_truncated, created_at from standalone_chat_messages
 where chat_id = :chat order by created_at;
select id, summary_text, message_count from conversation_summaries
 where conversation_type = 'insight' and conversation_id = :insight;
select id, user_id, device_name, device_type, user_agent, created_at, last_active from user_devices
 where user_id = :me order by last_active desc;
select id, source_user_id, source_device_id, target_user_id, target_device_id, expires_at, used_at, status
  from device_link_codes where display_code = 'CODE-' || :number;
select id, user_id, date, llm_calls, created_at, updated_at from usage_tracking
 where user_id = :me and date = date_trunc('day', now(), 'UTC');
select id, reference, book, chapter, verse_start, verse_end, translation, text, created_at, updated_at
  from saved_passages where reference = 'John 3';
commit;
