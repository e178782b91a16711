-- Compares a database that the service before Lectern filled with the baseline, which stands in the temporary schema of
-- this session. $1: the schema of the database's tables, $2: its marker. One row a finding: `differs` is why it cannot
-- be adopted, `mend` a statement that does what is missing.
with tables as (
    select want.oid as want, have.oid as have, want.relname as name
    from pg_class want
    left join pg_class have on have.relname = want.relname and have.relkind in ('r', 'p')
        and have.relnamespace = $1::regnamespace
    where want.relnamespace = pg_my_temp_schema() and want.relkind = 'r'
), columns as (
    select tables.have as table_id, tables.name as table_name, want.attname as name,
           format_type(want.atttypid, want.atttypmod) as type,
           format_type(have.atttypid, have.atttypmod) as have_type,
           pg_get_expr(want_default.adbin, want_default.adrelid) as standard,
           have.atthasdef or have.attidentity <> '' as has_standard,
           -- what the marker before the latest lacks, and vectors where pgvector came later
           have.attname is null and (want.attname = 'embedding'
               or ($2 = 'd0d22a6e1dc8' and tables.name = 'conversation_summaries'
                   and want.attname = 'last_message_id')) as may_be_missing
    from tables
    join pg_attribute want on want.attrelid = tables.want and want.attnum > 0 and not want.attisdropped
    left join pg_attribute have on have.attrelid = tables.have and have.attname = want.attname
        and have.attnum > 0 and not have.attisdropped
    left join pg_attrdef want_default on want_default.adrelid = want.attrelid and want_default.adnum = want.attnum
    where tables.have is not null
), keys as (
    -- names of the columns, so that both sides compare
    select conrelid, conname, contype, confdeltype, pg_get_constraintdef(oid) as text,
           (select relname from pg_class where pg_class.oid = confrelid) as target,
           array(select attname::text from unnest(conkey) with ordinality as part (number, place)
                 join pg_attribute on attrelid = conrelid and attnum = number order by place) as parts
    from pg_constraint where contype in ('p', 'u', 'f')
), indexes as (
    select indrelid, indexrelid, indisunique, indpred is null and indisvalid as whole,
           array(select attname::text from unnest(indkey::smallint[]) with ordinality as part (number, place)
                 left join pg_attribute on attrelid = indrelid and attnum = number and number > 0
                 order by place) as parts,
           exists (select from pg_constraint where conindid = indexrelid and contype in ('p', 'u')) as of_key
    from pg_index
), findings as (
    select 1 as rank, 'differs' as kind, format('table %I is missing', name) as text
    from tables where have is null
    union all
    select 2, 'differs', format('column %I.%I is missing', table_name, name)
    from columns where have_type is null and not may_be_missing
    union all
    select 3, 'differs', format('column %I.%I is %s, not %s', table_name, name, have_type, type)
    from columns where have_type <> type
    union all
    select 4, 'differs', format('column %I.id has no sequence', table_name)
    from columns where name = 'id' and have_type is not null and not has_standard
    union all
    select 10, 'mend', format('alter table %I add column %I %s', table_name, name, type)
    from columns where may_be_missing
    union all
    select 11, 'mend', format('alter table %I alter column %I set default %s', table_name, name, standard)
    from columns where standard is not null and name <> 'id' and have_type is not null and not has_standard
    union all
    -- a foreign key that does something else when its target is deleted
    select 12, 'mend', format('alter table %I drop constraint %I', tables.name, have.conname)
    from tables
    join keys want on want.conrelid = tables.want and want.contype = 'f'
    join keys have on have.conrelid = tables.have and have.contype = 'f' and have.parts = want.parts
        and have.target = want.target
    where have.confdeltype <> want.confdeltype
    union all
    select 13, 'mend', format('alter table %I add %s', tables.name, want.text)
    from tables join keys want on want.conrelid = tables.want
    where tables.have is not null and want.contype = 'f' and not exists (
        select from keys have
        where have.conrelid = tables.have and have.contype = 'f' and have.parts = want.parts
          and have.target = want.target and have.confdeltype = want.confdeltype)
    union all
    -- the two keys over whole texts are about to go anyway
    select 14, 'mend', format('alter table %I add %s', tables.name, want.text)
    from tables join keys want on want.conrelid = tables.want
    where tables.have is not null and want.contype in ('p', 'u')
      and want.conname not in ('uix_passage_reference_text', 'uix_word_reference_verse')
      and not exists (
        select from indexes have
        where have.indrelid = tables.have and have.indisunique and have.whole
          and have.parts @> want.parts and have.parts <@ want.parts)
    union all
    select 15, 'mend', format('create index on %I (%s)', tables.name,
                              (select string_agg(format('%I', part), ', ') from unnest(want.parts) as part))
    from tables join indexes want on want.indrelid = tables.want
    where tables.have is not null and not want.of_key and want.indexrelid::regclass::text <> 'idx_passage_text'
      and not exists (
        select from indexes have
        where have.indrelid = tables.have and have.whole and have.parts[1:cardinality(want.parts)] = want.parts)
)
select kind, text from findings order by rank, text;
