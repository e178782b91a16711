-- no transaction
-- Indexes on tables that may be large. CONCURRENTLY takes SHARE UPDATE EXCLUSIVE: reads and writes go on meanwhile. Each
-- is preceded by dropping what an interrupted attempt has left behind, which is invalid and of no use to anybody
-- (ACCESS EXCLUSIVE, for a moment).

do $$
declare
    left_over regclass;
begin
    for left_over in
        select indexrelid from pg_index join pg_class on pg_class.oid = indexrelid
        where not indisvalid and relnamespace = current_schema()::regnamespace
          and relname in ('uix_saved_insights_passage', 'uix_saved_definitions_word',
                          'idx_saved_insights_imported_by', 'idx_saved_definitions_imported_by',
                          'idx_user_insights_insight', 'idx_user_definitions_definition',
                          'idx_device_link_codes_source_user', 'idx_device_link_codes_source_device',
                          'idx_device_link_codes_target_user', 'idx_device_link_codes_target_device')
    loop
        execute format('drop index %s', left_over);
    end loop;
end
$$;

-- One text a passage and owner. The text by its MD5, so that it may have any length; a hit is compared by the text itself.
create unique index concurrently if not exists uix_saved_insights_passage
    on saved_insights (passage_reference, md5(passage_text), coalesce(imported_by, 0));
create unique index concurrently if not exists uix_saved_definitions_word
    on saved_definitions (word, passage_reference, md5(verse_text), coalesce(imported_by, 0));

-- Keys that a cascade looks up: without these, deleting a user or an insight scans the table.
create index concurrently if not exists idx_saved_insights_imported_by
    on saved_insights (imported_by) where imported_by is not null;
create index concurrently if not exists idx_saved_definitions_imported_by
    on saved_definitions (imported_by) where imported_by is not null;
create index concurrently if not exists idx_user_insights_insight on user_insights (insight_id);
create index concurrently if not exists idx_user_definitions_definition on user_definitions (definition_id);
create index concurrently if not exists idx_device_link_codes_source_user on device_link_codes (source_user_id);
create index concurrently if not exists idx_device_link_codes_source_device on device_link_codes (source_device_id);
create index concurrently if not exists idx_device_link_codes_target_user on device_link_codes (target_user_id);
create index concurrently if not exists idx_device_link_codes_target_device on device_link_codes (target_device_id);

-- The two constraints and the index over whole texts refuse any text that is longer than a row of an index (about 2,700
-- bytes). They go last, so that at no time a passage can be stored twice. ACCESS EXCLUSIVE on the tables, for a moment.
alter table saved_insights drop constraint if exists uix_passage_reference_text;
alter table saved_definitions drop constraint if exists uix_word_reference_verse;
drop index if exists uix_passage_reference_text;
drop index if exists uix_word_reference_verse;
drop index if exists idx_passage_text;
