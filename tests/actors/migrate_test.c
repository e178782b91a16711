/* Migrations and adoption, against a real PostgreSQL. */
#include "migrate.h"
#include "postgres.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static const char *url;
static PGconn *conn;

static void init(void)
{
    url = postgres_empty_database();
    conn = postgres_connect(url);
}

static void fini(void)
{
    PQfinish(conn);
}

TestSuite(migrate, .init = init, .fini = fini, .timeout = 60);
TestSuite(adopt, .init = init, .fini = fini, .timeout = 60);

static struct migrate run_with(PGconn *over, const struct migration *list, int count,
                               enum migrate_result expected)
{
    struct migrate migrate = {.conn = over, .set = {list, count}, .lock_wait_ms = 30 * 1000};
    enum migrate_result result = migrate_run(&migrate);

    cr_assert_eq(result, expected, "%d, not %d: %s", (int)result, (int)expected, migrate.message);
    return migrate;
}

static struct migrate run(enum migrate_result expected)
{
    struct migration_set set = migrations_embedded();

    return run_with(conn, set.list, set.count, expected);
}

static void answers(const char *sql, const char *expected)
{
    const char *got = postgres_value(conn, sql);

    cr_assert_str_eq(got, expected, "%s\n%s", sql, got);
}

static void says(const struct migrate *migrate, const char *part)
{
    cr_assert_not_null(strstr(migrate->message, part), "%s", migrate->message);
}

static const struct migration small[] = {
    {1, "0001_one", "create table one (id int);"},
    {2, "0002_two", "create table two (id int);\ncreate index on two (id);"},
    {3, "0003_three",
     "-- no transaction\ncreate index concurrently if not exists x on two (id);\nselect ';';"},
};

Test(migrate, an_empty_database_gets_everything_once)
{
    cr_assert_eq(run(MIGRATE_DONE).applied, migrations_latest());
    cr_assert_eq(run(MIGRATE_DONE).applied, 0);
    cr_assert_eq(atoi(postgres_value(conn, "select max(version) from lectern_migrations")),
                 migrations_latest());
    answers("select version_num from alembic_version", "a3f7c2e9");
    answers("select count(*) from pg_index where not indisvalid", "0");
    answers("select count(*) from pg_class where relname in ('uix_passage_reference_text',"
            " 'uix_word_reference_verse', 'idx_passage_text')",
            "0");
}

static void *run_alone(void *applied)
{
    struct migration_set set = migrations_embedded();
    PGconn *own = postgres_connect(url);
    struct migrate migrate = {.conn = own, .set = set, .lock_wait_ms = 30 * 1000};

    *(int *)applied = migrate_run(&migrate) == MIGRATE_DONE ? migrate.applied : -1000;
    PQfinish(own);
    return NULL;
}

Test(migrate, many_at_once_apply_each_once)
{
    enum { MANY = 6 };
    pthread_t threads[MANY];
    int applied[MANY], sum = 0;

    for (int i = 0; i < MANY; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, run_alone, &applied[i]), 0);
    for (int i = 0; i < MANY; i++) {
        pthread_join(threads[i], NULL);
        sum += applied[i];
    }
    cr_assert_eq(sum, migrations_latest());
}

Test(migrate, a_newer_database_is_refused)
{
    struct migrate migrate;

    run_with(conn, small, 3, MIGRATE_DONE);
    migrate = run_with(conn, small, 2, MIGRATE_REFUSED);
    says(&migrate, "newer than the program");
    says(&migrate, "0003_three");
}

Test(migrate, a_changed_file_is_refused)
{
    struct migration changed[] = {
        small[0], {2, "0002_two", "create table two (id bigint);"}, small[2]};
    struct migrate migrate;

    run_with(conn, small, 2, MIGRATE_DONE);
    migrate = run_with(conn, changed, 3, MIGRATE_REFUSED);
    says(&migrate, "0002_two was changed");
    answers("select count(*) from lectern_migrations", "2");
}

Test(migrate, a_file_out_of_order_is_refused)
{
    struct migration late[] = {small[0], small[2]};
    struct migrate migrate;

    run_with(conn, small, 2, MIGRATE_DONE);
    postgres_exec(conn, "drop table two; delete from lectern_migrations where version = 2;"
                        "create table two (id int)");
    run_with(conn, late, 2, MIGRATE_DONE);
    migrate = run_with(conn, small, 3, MIGRATE_REFUSED);
    says(&migrate, "0002_two is out of order");
}

Test(migrate, a_failing_file_leaves_what_was_before_it)
{
    struct migration failing[] = {
        small[0], {2, "0002_bad", "create table two (id int);\nselect 1;\nselect nonsense;\n"}};
    struct migrate migrate = run_with(conn, failing, 2, MIGRATE_FAILED);

    says(&migrate, "0002_bad, line 3: column \"nonsense\" does not exist");
    answers("select max(version) from lectern_migrations", "1");
    answers("select to_regclass('two')", "");
    cr_assert_eq(PQtransactionStatus(conn), PQTRANS_IDLE);
    cr_assert_eq(run_with(conn, small, 3, MIGRATE_DONE).applied, 2);
}

Test(migrate, an_invalid_index_that_was_left_behind_is_made_anew)
{
    struct migration_set set = migrations_embedded();

    run_with(conn, set.list, 2, MIGRATE_DONE);
    postgres_exec(conn, "create index idx_user_insights_insight on user_insights (insight_id);"
                        "update pg_index set indisvalid = false"
                        " where indexrelid = 'idx_user_insights_insight'::regclass");
    run(MIGRATE_DONE);
    answers(
        "select indisvalid from pg_index where indexrelid = 'idx_user_insights_insight'::regclass",
        "t");
}

Test(migrate, another_that_runs_is_waited_for_but_not_for_ever)
{
    PGconn *other = postgres_connect(url);
    struct migrate migrate = {.conn = conn, .set = {small, 3}, .lock_wait_ms = 250};

    postgres_exec(other, "select pg_advisory_lock(5071927843)");
    cr_assert_eq(migrate_run(&migrate), MIGRATE_BUSY);
    says(&migrate, "another migration is still running");
    PQfinish(other);
    run_with(conn, small, 3, MIGRATE_DONE);
}

/* A pooler in little: passes everything on, but for the backend's id, which is its own. */
static void pass_on(int from, int to, bool change_id)
{
    static const char key_data[] = {'K', 0, 0, 0, 12};
    char bytes[16384];
    ssize_t got = read(from, bytes, sizeof(bytes));
    char *found;

    if (got <= 0)
        _exit(0);
    found = change_id ? memmem(bytes, (size_t)got, key_data, sizeof(key_data)) : NULL;
    if (found != NULL)
        found[sizeof(key_data) + 3] = (char)(found[sizeof(key_data) + 3] + 1);
    if (write(to, bytes, (size_t)got) != got)
        _exit(1);
}

static void serve_one(int listener, int server)
{
    int client = accept(listener, NULL, NULL);
    struct pollfd both[] = {{client, POLLIN, 0}, {server, POLLIN, 0}};

    for (;;) {
        poll(both, 2, -1);
        if (both[0].revents != 0)
            pass_on(client, server, false);
        if (both[1].revents != 0)
            pass_on(server, client, true);
    }
}

/* Connects a socket to the server that `conn` speaks to; the pooler's own start-up is the client's.
 */
static int connect_raw(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s/.s.PGSQL.%s", PQhost(conn),
             PQport(conn));
    cr_assert_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

Test(migrate, a_pooler_is_refused)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char folder[] = "/tmp/pooler.XXXXXX", pooler[256];
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), server = connect_raw();
    struct migrate migrate;
    PGconn *pooled;

    cr_assert_not_null(mkdtemp(folder));
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/.s.PGSQL.5432", folder);
    cr_assert_eq(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
    cr_assert_eq(listen(listener, 1), 0);
    if (fork() == 0)
        serve_one(listener, server);
    snprintf(pooler, sizeof(pooler), "host=%s port=5432 user=%s dbname=%s", folder, PQuser(conn),
             PQdb(conn));
    pooled = postgres_connect(pooler);
    migrate = run_with(pooled, small, 3, MIGRATE_REFUSED);
    says(&migrate, "pooler");
    PQfinish(pooled); /* with which the pooler ends */
    close(server);
    close(listener);
    unlink(address.sun_path);
    rmdir(folder);
    answers("select to_regclass('lectern_migrations')", "");
}

Test(migrate, the_id_of_a_user_follows_merges)
{
    run(MIGRATE_DONE);
    postgres_exec(conn, "insert into users (id, anonymous_id) values (7, 'kept');"
                        "insert into merged_users values ('gone', 7)");
    answers("select current_user_id('kept')", "7");
    answers("select current_user_id('gone')", "7");
    answers("select current_user_id('nobody') is null", "t");
    answers("select current_user_id(null) is null", "t");
    postgres_exec(conn, "delete from users");
    answers("select current_user_id('gone') is null", "t");
}

static bool stores_insight(const char *text, const char *imported_by)
{
    char sql[512];
    PGresult *result;
    bool stored;

    snprintf(sql, sizeof(sql),
             "insert into saved_insights (passage_reference, passage_text, historical_context,"
             " theological_significance, practical_application, imported_by)"
             " values ('John 3', %s, '', '', '', %s)",
             text, imported_by);
    result = PQexec(conn, sql);
    stored = PQresultStatus(result) == PGRES_COMMAND_OK;
    PQclear(result);
    return stored;
}

Test(migrate, long_texts_can_be_stored_once_an_owner)
{
    /* digests, so that the text does not compress */
    static const char text[] =
        "(select string_agg(md5(n::text), ' ') from generate_series(1, 2000) as n)";

    run(MIGRATE_DONE);
    postgres_exec(conn, "insert into users (id, anonymous_id) values (7, 'u')");
    cr_assert(stores_insight(text, "null"));
    cr_assert_not(stores_insight(text, "null"));
    cr_assert(stores_insight(text, "7"));
    cr_assert_not(stores_insight(text, "7"));
    postgres_exec(conn, "delete from users");
    answers("select count(*) from saved_insights", "1");
}

/* A database as the service before left it, with somebody in it. */
static void make_old(const char *marker)
{
    char sql[128];

    postgres_exec(conn, migrations_embedded().list[0].sql);
    snprintf(sql, sizeof(sql), "update alembic_version set version_num = '%s'", marker);
    postgres_exec(conn, sql);
    if (strcmp(marker, "d0d22a6e1dc8") == 0)
        postgres_exec(conn, "alter table conversation_summaries drop column last_message_id");
    postgres_exec(conn, "insert into users (anonymous_id) values ('old');"
                        "insert into conversation_summaries (conversation_type, conversation_id,"
                        " summary_text, message_count) values ('insight', 1, 'text', 2)");
}

static void is_adopted(void)
{
    answers("select version_num from alembic_version", "a3f7c2e9");
    cr_assert_eq(atoi(postgres_value(conn, "select count(*) from lectern_migrations")),
                 migrations_latest());
    answers("select anonymous_id from users", "old");
    answers("select summary_text || coalesce(last_message_id, 0) from conversation_summaries",
            "text0");
    cr_assert_eq(run(MIGRATE_DONE).applied, 0);
}

Test(adopt, a_database_at_the_latest_marker)
{
    make_old("a3f7c2e9");
    cr_assert_eq(run(MIGRATE_DONE).applied, migrations_latest() - 1);
    is_adopted();
}

Test(adopt, a_database_at_the_marker_before)
{
    make_old("d0d22a6e1dc8");
    cr_assert_eq(run(MIGRATE_DONE).applied, migrations_latest() - 1);
    is_adopted();
}

static void nothing_changed(const char *marker)
{
    answers("select to_regclass('lectern_migrations')", "");
    answers("select to_regclass('merged_users')", "");
    answers("select version_num from alembic_version", marker);
    answers("select count(*) from pg_class where relnamespace = pg_my_temp_schema()", "0");
    cr_assert_eq(PQtransactionStatus(conn), PQTRANS_IDLE);
}

Test(adopt, an_unknown_marker_is_refused)
{
    struct migrate migrate;

    make_old("a3f7c2e9");
    postgres_exec(conn, "update alembic_version set version_num = 'beef'");
    migrate = run(MIGRATE_REFUSED);
    says(&migrate, "\"beef\"");
    nothing_changed("beef");
    postgres_exec(conn, "delete from alembic_version");
    migrate = run(MIGRATE_REFUSED);
    says(&migrate, "holds \"\"");
}

Test(adopt, what_differs_is_listed_and_nothing_changed)
{
    struct migrate migrate;

    make_old("a3f7c2e9");
    postgres_exec(conn, "drop table usage_tracking;"
                        "alter table users drop column pro_subscription;"
                        "alter table saved_passages alter column chapter type bigint;"
                        "alter table conversation_summaries drop column last_message_id");
    migrate = run(MIGRATE_REFUSED);
    says(&migrate, "\n  table usage_tracking is missing");
    says(&migrate, "\n  column users.pro_subscription is missing");
    says(&migrate, "\n  column saved_passages.chapter is bigint, not integer");
    says(&migrate, "\n  column conversation_summaries.last_message_id is missing");
    nothing_changed("a3f7c2e9");
}

Test(adopt, what_is_only_missing_is_done)
{
    make_old("a3f7c2e9");
    postgres_exec(conn, "drop index idx_user_devices_user_active;"
                        "alter index idx_standalone_chat_messages_chat rename to other_name;"
                        "alter table users alter column created_at drop default;"
                        "alter table usage_tracking drop constraint uix_user_date;"
                        "alter table user_devices drop constraint user_devices_user_id_fkey;"
                        "alter table chat_messages drop constraint chat_messages_user_id_fkey,"
                        " add constraint own_name foreign key (user_id) references users;"
                        "create table something_else (id int);"
                        "alter table users add column more text");
    run(MIGRATE_DONE);
    is_adopted();
    answers("select count(*) from pg_indexes where tablename = 'user_devices'"
            " and indexdef like '%(user_id, last_active)'",
            "1");
    answers("select count(*) from pg_indexes where tablename = 'standalone_chat_messages'"
            " and indexdef like '%(chat_id)'",
            "1");
    answers("select count(*) from pg_indexes where tablename = 'usage_tracking'"
            " and indexdef like 'CREATE UNIQUE%(user_id, date)'",
            "1");
    answers("select column_default from information_schema.columns"
            " where table_name = 'users' and column_name = 'created_at'",
            "now()");
    answers("select string_agg(conrelid::regclass || ' ' || confdeltype::text, ', ' order by "
            "conrelid::regclass::text)"
            " from pg_constraint where confrelid = 'users'::regclass"
            " and conrelid::regclass::text in ('chat_messages', 'user_devices')",
            "chat_messages c, user_devices c");
}

Test(adopt, the_whole_list_however_long)
{
    struct migrate migrate;

    make_old("a3f7c2e9");
    postgres_exec(conn,
                  "do $$ declare gone record; begin"
                  " for gone in select attrelid::regclass as name, attname from pg_attribute"
                  " where attrelid in (select oid from pg_class where relkind = 'r'"
                  " and relnamespace = 'public'::regnamespace and relname <> 'alembic_version')"
                  " and attnum > 0 loop"
                  " execute format('alter table %s drop column %I cascade', gone.name,"
                  " gone.attname); end loop; end $$");
    migrate = run(MIGRATE_REFUSED);
    says(&migrate, "\n  column chat_messages.content is missing");
    says(&migrate, "\n  column users.pro_subscription is missing");
    says(&migrate, "\n  table users has no primary key (id)");
    cr_assert_null(strstr(migrate.message, "and more"));
    nothing_changed("a3f7c2e9");
}

Test(adopt, what_an_interrupted_attempt_left_is_done_anew)
{
    make_old("a3f7c2e9");
    postgres_exec(conn, "update pg_index set indisvalid = false where indexrelid ="
                        " 'idx_user_devices_user_active'::regclass;"
                        "alter table usage_tracking drop constraint uix_user_date;"
                        "create unique index uix_user_date on usage_tracking (user_id, date);"
                        "update pg_index set indisvalid = false where indexrelid ="
                        " 'uix_user_date'::regclass;"
                        "alter table user_devices drop constraint user_devices_user_id_fkey, add"
                        " foreign key (user_id) references users on delete cascade not valid");
    run(MIGRATE_DONE);
    is_adopted();
    answers("select count(*) from pg_index where not indisvalid", "0");
    answers("select count(*) from pg_constraint where not convalidated", "0");
    answers("select string_agg(indexrelid::regclass || ' ' || indisunique, ', ' order by"
            " indexrelid::regclass::text) from pg_index where indexrelid::regclass::text in"
            " ('idx_user_devices_user_active', 'uix_user_date')",
            "idx_user_devices_user_active false, uix_user_date true");
}

Test(adopt, a_name_that_something_else_has_does_not_matter)
{
    make_old("a3f7c2e9");
    postgres_exec(conn, "drop index idx_user_devices_user_active;"
                        "create table idx_user_devices_user_active (id int)");
    run(MIGRATE_DONE);
    answers("select count(*) from pg_indexes where tablename = 'user_devices'"
            " and indexdef like '%(user_id, last_active)'",
            "1");
}

/* Adopting while another session holds a lock on a table, for which it waits a tenth of a second.
 */
static struct migrate adopt_beside(PGconn *other, const char *lock)
{
    struct migration_set set = migrations_embedded();
    struct migrate migrate = {.conn = conn, .set = set, .lock_wait_ms = 100};

    make_old("d0d22a6e1dc8");
    postgres_exec(other, lock);
    cr_assert_eq(migrate_run(&migrate), MIGRATE_BUSY, "%s", migrate.message);
    says(&migrate, "lock timeout");
    cr_assert_eq(PQtransactionStatus(conn), PQTRANS_IDLE);
    return migrate;
}

Test(adopt, a_table_in_use_is_given_up_and_nothing_changed)
{
    PGconn *other = postgres_connect(url);

    adopt_beside(other, "begin; select from conversation_summaries limit 0");
    nothing_changed("d0d22a6e1dc8");
    PQfinish(other);
    run(MIGRATE_DONE);
    is_adopted();
}

Test(adopt, a_table_in_use_later_leaves_what_was_before_it)
{
    PGconn *other = postgres_connect(url);

    adopt_beside(other, "begin; select from usage_tracking limit 0");
    answers("select max(version) from lectern_migrations", "1");
    answers("select to_regclass('merged_users')", "");
    PQfinish(other);
    run(MIGRATE_DONE);
    is_adopted();
}

Test(adopt, an_index_waits_for_transactions_without_giving_up)
{
    struct migration_set set = migrations_embedded();
    struct migrate migrate = {.conn = conn, .set = set, .lock_wait_ms = 0};
    PGconn *other = postgres_connect(url);

    make_old("a3f7c2e9");
    run_with(conn, set.list, 2, MIGRATE_DONE);
    postgres_exec(other, "set idle_in_transaction_session_timeout = '1s';"
                         "begin; lock table saved_insights in row exclusive mode");
    cr_assert_eq(migrate_run(&migrate), MIGRATE_DONE, "%s", migrate.message);
    PQfinish(other);
}

Test(adopt, tables_of_something_else_are_refused)
{
    struct migrate migrate;

    postgres_exec(conn, "create table users (id int)");
    migrate = run(MIGRATE_FAILED);
    says(&migrate, "relation \"users\" already exists");
    answers("select to_regclass('lectern_migrations')", "");
}
