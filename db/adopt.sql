-- Compares a database that the service before Lectern filled with the baseline, which stands in the temporary schema of
-- this session; it reads the catalogs only. $1: the schema of the database's tables, $2: its marker. A row a finding, in
-- the order in which they are to be looked at:
--   differs   why it cannot be adopted
--   check     a query whose rows say why it cannot be adopted: what a later step would fail on (ACCESS SHARE)
--   step      a statement that does something that is missing, in no transaction and safe to repeat
--   last      the same, in the transaction that records the adoption
-- The lock that each step takes stands beside it. Those above SHARE UPDATE EXCLUSIVE are held for a moment only: no step
-- reads or writes a table's rows under one.
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
           want.attnotnull and not have.attnotnull as may_be_null,
           have.attname is null and $2 = 'd0d22a6e1dc8' and tables.name = 'conversation_summaries'
               and want.attname = 'last_message_id' as came_later,
           have.attname is null and want.attname = 'embedding' as is_vector -- pgvector came later
    from tables
    join pg_attribute want on want.attrelid = tables.want and want.attnum > 0 and not want.attisdropped
    left join pg_attribute have on have.attrelid = tables.have and have.attname = want.attname
        and have.attnum > 0 and not have.attisdropped
    left join pg_attrdef want_default on want_default.adrelid = want.attrelid and want_default.adnum = want.attnum
    where tables.have is not null
), strangers as (
    select tables.name as table_name, have.attname as name
    from tables
    join pg_attribute have on have.attrelid = tables.have and have.attnum > 0 and not have.attisdropped
    where have.attnotnull and not have.atthasdef and have.attidentity = ''
      and not exists (select from pg_attribute want where want.attrelid = tables.want and want.attname = have.attname)
), keys as (
    -- names of the columns, so that both sides compare
    select conrelid, conname, contype, confdeltype, convalidated, pg_get_constraintdef(oid) as text,
           (select relname from pg_class where pg_class.oid = confrelid) as target,
           array(select attname::text from unnest(conkey) with ordinality as part (number, place)
                 join pg_attribute on attrelid = conrelid and attnum = number order by place) as parts
    from pg_constraint where contype in ('p', 'f')
), indexes as (
    select indrelid, indexrelid, relname as name, indisunique, indpred is null and indisvalid as whole, indisvalid,
           array(select attname::text from unnest(indkey::smallint[]) with ordinality as part (number, place)
                 left join pg_attribute on attrelid = indrelid and attnum = number and number > 0
                 where place <= indnkeyatts order by place) as parts,
           exists (select from pg_constraint where conindid = indexrelid and contype in ('p', 'u')) as of_key
    from pg_index join pg_class on pg_class.oid = indexrelid
), links as (
    -- foreign keys: what there should be, and the one on the same columns that there is
    select tables.name as table_name, want.conname as name, want.text, want.target, want.parts[1] as part,
           have.conname as have_name, have.confdeltype is not distinct from want.confdeltype as fits, have.convalidated
    from tables
    join keys want on want.conrelid = tables.want and want.contype = 'f'
    left join keys have on have.conrelid = tables.have and have.contype = 'f' and have.parts = want.parts
        and have.target = want.target
    where tables.have is not null
), missing as (
    -- indexes that there should be and are not; `free`: nothing else has the name
    select tables.name as table_name, tables.have as table_id, want.name, want.parts, want.indisunique,
           want.name in ('uix_passage_reference_text', 'uix_word_reference_verse') as whole_text,
           (select string_agg(format('%I', part), ', ' order by place)
            from unnest(want.parts) with ordinality as part (part, place)) as list,
           not exists (
               select from pg_class left join indexes on indexrelid = pg_class.oid
               where relname = want.name and relnamespace = $1::regnamespace
                 and (indexrelid is null or indisvalid or indrelid <> tables.have or indexes.parts <> want.parts)) as free
    from tables join indexes want on want.indrelid = tables.want
    where tables.have is not null and want.name <> 'idx_passage_text'
      and not (want.of_key and exists (
        select from keys where conrelid = tables.want and contype = 'p' and keys.parts = want.parts))
      and not exists (
        select from indexes have
        where have.indrelid = tables.have and have.whole and case when want.indisunique
            then have.indisunique and have.parts @> want.parts and have.parts <@ want.parts
            else have.parts[1:cardinality(want.parts)] = want.parts end)
), findings as (
    select 1 as rank, 'differs' as kind, format('table %I is missing', name) as text
    from tables where have is null
    union all
    select 2, 'differs', format('column %I.%I is missing', table_name, name)
    from columns where have_type is null and not came_later and not is_vector
    union all
    select 3, 'differs', format('column %I.%I is %s, not %s', table_name, name, have_type, type)
    from columns where have_type <> type
    union all
    select 4, 'differs', format('column %I.id has no sequence', table_name)
    from columns where name = 'id' and have_type is not null and not has_standard
    union all
    select 5, 'differs', format('table %I has no primary key (%s)', tables.name, array_to_string(want.parts, ', '))
    from tables join keys want on want.conrelid = tables.want and want.contype = 'p'
    where tables.have is not null and not exists (
        select from keys have where have.conrelid = tables.have and have.contype = 'p'
           and have.parts @> want.parts and have.parts <@ want.parts)
    union all
    select 6, 'differs', format('column %I.%I is not known, and nothing would fill it (not null, no default)',
                                table_name, name)
    from strangers
    union all
    select 7, 'differs', format('table %I may not hold two rows with the same (%s), by the index %I',
                                tables.name, array_to_string(have.parts, ', ', 'an expression'), have.name)
    from tables join indexes have on have.indrelid = tables.have and have.indisunique and have.indisvalid
    where not exists (select from indexes want where want.indrelid = tables.want and want.indisunique
                      and have.parts @> want.parts)
    union all
    -- a column with a default is filled by 0007, and so need not be refused
    select 10, 'check', format(
        $$select 'column %1$I.%2$I is empty in ' || count(*) || ' rows' from %1$I where %2$I is null having count(*) > 0$$,
        table_name, name)
    from columns where may_be_null and standard is null
    union all
    select 11, 'check', format(
        $$select 'column %1$I.%2$I names rows that %3$I does not have, in ' || count(*) || ' rows' from %1$I as own
          where %2$I is not null and not exists (select from %3$I as target where target.id = own.%2$I)
          having count(*) > 0$$, table_name, part, target)
    from links where have_name is null or not fits or not convalidated
    union all
    select 12, 'check', format(
        $$select 'table %1$I has ' || count(*) || ' times several rows with the same (%3$s)' from (
          select from %1$I %4$s group by %2$s having count(*) > 1) as twice having count(*) > 0$$,
        table_name,
        case when whole_text then (select string_agg(format(case when part in ('passage_text', 'verse_text')
                                       then 'md5(%I)' else '%I' end, part), ', ') from unnest(parts) as part)
             else list end,
        list, (select 'where ' || string_agg(format('%I is not null', part), ' and ') from unnest(parts) as part))
    from missing where indisunique
    union all
    -- ACCESS EXCLUSIVE; null in every row, so nothing is rewritten
    select 20, 'step', format('alter table %I add column if not exists %I %s', table_name, name, type)
    from columns where is_vector
    union all
    -- ACCESS EXCLUSIVE; of the catalog only
    select 21, 'step', format('alter table %I alter column %I set default %s', table_name, name, standard)
    from columns where standard is not null and name <> 'id' and have_type is not null and not has_standard
    union all
    -- ACCESS EXCLUSIVE on both tables: a key that does something else when its target is deleted, for one that fits
    select 22, 'step', format('alter table %I drop constraint %I, add constraint %I %s not valid',
                              table_name, have_name, name, text)
    from links where have_name is not null and not fits
    union all
    -- SHARE ROW EXCLUSIVE on both tables, which writers wait for; rows are not looked at
    select 23, 'step', format('alter table %I add constraint %I %s not valid', table_name, name, text)
    from links where have_name is null
    union all
    -- SHARE UPDATE EXCLUSIVE, ROW SHARE on the target; nobody waits while the rows are looked at
    select 24, 'step', format('alter table %I validate constraint %I',
                              table_name, case when fits and have_name is not null then have_name else name end)
    from links where have_name is null or not fits or not convalidated
    union all
    -- SHARE UPDATE EXCLUSIVE: what an interrupted attempt left behind
    select 25, 'step', format('drop index concurrently if exists %s', left_over.indexrelid::regclass)
    from missing join indexes left_over on left_over.indrelid = missing.table_id
        and not left_over.indisvalid and not left_over.of_key and left_over.parts = missing.parts
    where not whole_text
    union all
    -- SHARE UPDATE EXCLUSIVE: reads and writes go on. The two keys over whole texts are about to go anyway
    select 26, 'step', format('create %s concurrently %s on %I (%s)', case when indisunique then 'unique index' else 'index' end,
                              case when free then format('%I', name) end, table_name, list)
    from missing where not whole_text
    union all
    -- ACCESS EXCLUSIVE; null in every row, so nothing is rewritten
    select 30, 'last', format('alter table %I add column if not exists %I %s', table_name, name, type)
    from columns where came_later
)
select kind, text from findings order by rank, text;
