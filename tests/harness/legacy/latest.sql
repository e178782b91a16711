-- For pgbench: what the service before does from its latest marker on.
\set chat random(1, :insights)
select id, summary_text, message_count, last_message_id from conversation_summaries
 where conversation_type = 'standalone' and conversation_id = :chat;
update conversation_summaries set summary_text = 'another', message_count = message_count + 2, last_message_id = :chat,
       updated_at = now()
 where conversation_type = 'standalone' and conversation_id = :chat;
