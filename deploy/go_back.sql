-- Makes a database fit for the service before Lectern again; CUTOVER.md says when. For psql, while neither service runs:
--   psql DATABASE <deploy/go_back.sql
-- It may be run any number of times. The first part is one transaction; interrupted, it has done nothing.
--
-- That service expects one row of a passage. Here a user's import has a row of his own, beside the one for everybody. They
-- become one: the one for everybody, or the oldest import where there is none. What hung on the others hangs on it. The
-- others' texts are kept in joined_insights and joined_definitions, until their owner is deleted. All that is left is
-- everybody's, as that service has it: otherwise deleting a user would take it from those who have it too.
\set ON_ERROR_STOP on
\set QUIET on
set client_min_messages = warning;
begin;

-- SHARE ROW EXCLUSIVE, to the end of the transaction: nobody adds a row meanwhile.
lock table saved_insights, saved_definitions, user_insights, user_definitions, chat_messages in share row exclusive mode;

create table if not exists joined_insights (
    like saved_insights, kept_id integer not null, foreign key (imported_by) references users on delete cascade);
create table if not exists joined_definitions (
    like saved_definitions, kept_id integer not null, foreign key (imported_by) references users on delete cascade);
create index if not exists idx_joined_insights_imported_by on joined_insights (imported_by);
create index if not exists idx_joined_definitions_imported_by on joined_definitions (imported_by);

create temporary table joining_insights on commit drop as
    select id, kept_id from (
        select id, first_value(id) over (partition by passage_reference, md5(passage_text), passage_text
                                         order by imported_by is not null, id) as kept_id
        from saved_insights) as rows
    where id <> kept_id;
create temporary table joining_definitions on commit drop as
    select id, kept_id from (
        select id, first_value(id) over (partition by word, passage_reference, md5(verse_text), verse_text
                                         order by imported_by is not null, id) as kept_id
        from saved_definitions) as rows
    where id <> kept_id;

insert into joined_insights select saved_insights.*, kept_id from saved_insights join joining_insights using (id);
insert into joined_definitions select saved_definitions.*, kept_id from saved_definitions join joining_definitions using (id);

insert into user_insights (user_id, insight_id, created_at)
    select user_id, kept_id, min(created_at) from user_insights join joining_insights on id = insight_id group by 1, 2
    on conflict do nothing;
insert into user_definitions (user_id, definition_id, created_at)
    select user_id, kept_id, min(created_at) from user_definitions join joining_definitions on id = definition_id group by 1, 2
    on conflict do nothing;
-- Where two conversations of a user become one, neither's summary is right; whoever goes on makes a new one.
delete from insight_chat_summaries using joining_insights, chat_messages
 where insight_chat_summaries.insight_id = kept_id and chat_messages.insight_id = joining_insights.id
   and chat_messages.user_id = insight_chat_summaries.user_id;
update chat_messages set insight_id = kept_id from joining_insights where insight_id = joining_insights.id;

delete from saved_insights using joining_insights where saved_insights.id = joining_insights.id;
delete from saved_definitions using joining_definitions where saved_definitions.id = joining_definitions.id;
-- All but texts that have the MD5 of another one, which no text has by chance: Lectern's keys allow one of them only.
update saved_insights as own set imported_by = null
 where imported_by is not null and not exists (
    select from saved_insights as other where other.id <> own.id and other.passage_reference = own.passage_reference
       and md5(other.passage_text) = md5(own.passage_text));
update saved_definitions as own set imported_by = null
 where imported_by is not null and not exists (
    select from saved_definitions as other where other.id <> own.id and other.word = own.word
       and other.passage_reference = own.passage_reference and md5(other.verse_text) = md5(own.verse_text));
commit;

-- The keys over whole texts, where all texts are short enough for an index. That service needs them only where its
-- statements name them; Lectern's own keys (by MD5) keep texts from being stored twice as well.
-- SHARE UPDATE EXCLUSIVE while an index is made, ACCESS EXCLUSIVE for a moment when it becomes the key.
select not exists (select from pg_constraint where conname = 'uix_passage_reference_text'
                   and conrelid = 'saved_insights'::regclass) as insights,
       not exists (select from pg_constraint where conname = 'uix_word_reference_verse'
                   and conrelid = 'saved_definitions'::regclass) as definitions \gset

\if :insights
drop index concurrently if exists uix_passage_reference_text;
\set ON_ERROR_STOP off
create unique index concurrently uix_passage_reference_text on saved_insights (passage_reference, passage_text);
\set ON_ERROR_STOP on
\if :ERROR
drop index concurrently if exists uix_passage_reference_text;
select count(*) as long from saved_insights where octet_length(passage_text) > 2700 \gset
\echo uix_passage_reference_text is not made again, :long texts have more than 2,700 bytes
\else
alter table saved_insights add constraint uix_passage_reference_text unique using index uix_passage_reference_text;
\echo uix_passage_reference_text is there again
\endif
\endif

\if :definitions
drop index concurrently if exists uix_word_reference_verse;
\set ON_ERROR_STOP off
create unique index concurrently uix_word_reference_verse on saved_definitions (word, passage_reference, verse_text);
\set ON_ERROR_STOP on
\if :ERROR
drop index concurrently if exists uix_word_reference_verse;
select count(*) as long from saved_definitions where octet_length(verse_text) > 2700 \gset
\echo uix_word_reference_verse is not made again, :long texts have more than 2,700 bytes
\else
alter table saved_definitions add constraint uix_word_reference_verse unique using index uix_word_reference_verse;
\echo uix_word_reference_verse is there again
\endif
\endif
