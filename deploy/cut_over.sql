-- Before Lectern starts on a migrated database that the service before has written since; CUTOVER.md says when. For psql:
--   psql DATABASE <deploy/cut_over.sql
-- It may be run any number of times, also while either service runs.
\set ON_ERROR_STOP on
\set QUIET on
set client_min_messages = warning;
set lock_timeout = '200ms'; -- whoever waits for the lock holds up all that come later; where it fails, run this again

-- What go_back.sql may have made again: no long text could be stored. ACCESS EXCLUSIVE, for a moment.
alter table saved_insights drop constraint if exists uix_passage_reference_text;
alter table saved_definitions drop constraint if exists uix_word_reference_verse;

-- Times that are null, device counts that drifted: see db/migrations/0007_old_rows.sql.
call mend_old_rows();
