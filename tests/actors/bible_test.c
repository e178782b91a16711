/* The domain `bible` against a real PostgreSQL: its program, spoken to over its socket. */
#include "actors/messenger.h"
#include "base/time.h"
#include "postgres.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

TestSuite(bible, .timeout = 60);

#define FREE "00000000-0000-4000-8000-00000000000a"
#define PRO "00000000-0000-4000-8000-00000000000b"

static struct messenger actor;
static PGconn *conn;
static const char *url;

/* John 3:16-18 without a verse 17 in WEB and NRSV, which is for pro users; a chapter whose verses
 * are all empty. */
static void fill(void)
{
    postgres_exec(
        conn,
        "insert into users (anonymous_id, device_count, pro_subscription)"
        " values ('" FREE "', 1, false), ('" PRO "', 1, true);"
        "insert into bible_translations (code, name, requires_pro, source, version) values"
        " ('WEB', 'World English Bible', false, 'test', 11), ('NRSV', 'New', true, 'test', 12);"
        "insert into bible_chapters (translation_id, book, chapter, content) select id, 43, 3,"
        " '[{\"type\":\"heading\",\"content\":[\"Love\"]},"
        "   {\"type\":\"verse\",\"number\":16,\"content\":[\"For God\",{\"noteId\":1}]},"
        "   {\"type\":\"line_break\"},"
        "   {\"type\":\"verse\",\"number\":18,\"content\":[{\"text\":\"He who\",\"poem\":1}]}]'"
        " from bible_translations;"
        "insert into bible_chapters (translation_id, book, chapter, content)"
        " select id, 43, 4, '[]' from bible_translations;"
        "insert into bible_verses (translation_id, book, chapter, verse, text)"
        " select id, 43, 3, 16, 'For God' from bible_translations union all"
        " select id, 43, 3, 18, 'He who' from bible_translations");
}

static void set_up(void)
{
    url = postgres_database();
    conn = postgres_connect(url);
    fill();
    messenger_start(&actor, LECTERN_BIBLE, url, NULL);
}

static void tear_down(void)
{
    int code = messenger_stop(&actor);

    PQfinish(conn);
    cr_expect_eq(code, 0, "exit code %d", code);
}

#define TEST(name) Test(bible, name, .init = set_up, .fini = tear_down)

static void expect(const char *expected, struct str reply)
{
    cr_expect(str_is(reply, expected), "%.*s, not %s", STR_ARG(reply), expected);
}

static struct str ask(const char *method, const char *json)
{
    return messenger_ask(&actor, method, NULL, json);
}

#define VERSE16(book, translation)                                                                 \
    "{\"book\":\"" book "\",\"chapter\":3,\"verse\":16,\"text\":\"For God\","                      \
    "\"translation\":\"" translation "\",\"text_parts\":[\"For God\",{\"noteId\":1}]}"
#define VERSE18(book, translation)                                                                 \
    "{\"book\":\"" book "\",\"chapter\":3,\"verse\":18,\"text\":\"He who\","                       \
    "\"translation\":\"" translation "\",\"text_parts\":[{\"poem\":1,\"text\":\"He who\"}]}"
#define PASSAGE(reference, verses, translation)                                                    \
    "ok {\"reference\":\"" reference "\",\"verses\":[" verses "],\"translation\":\"" translation   \
    "\"}"

TEST(answers_one_verse)
{
    expect(PASSAGE("John 3:16", VERSE16("John", "WEB"), "WEB"),
           ask("bible.passage", "{\"book\":\"John\",\"chapter\":3,\"verse_start\":16}"));
    expect(PASSAGE("John 3:16", VERSE16("John", "WEB"), "WEB"),
           ask("bible.passage",
               "{\"book\":\"John\",\"chapter\":3,\"verse_start\":16,\"verse_end\":16}"));
}

TEST(echoes_what_was_asked_for)
{
    expect(PASSAGE("jhn 3:16", VERSE16("jhn", "web"), "web"),
           ask("bible.passage",
               "{\"book\":\"jhn\",\"chapter\":3,\"verse_start\":16,\"translation\":\"web\"}"));
}

TEST(answers_the_verses_of_a_range_that_exist)
{
    expect(PASSAGE("John 3:16-18", VERSE16("John", "WEB") "," VERSE18("John", "WEB"), "WEB"),
           ask("bible.passage",
               "{\"book\":\"John\",\"chapter\":3,\"verse_start\":16,\"verse_end\":18}"));
    expect(PASSAGE("John 3:17-9000000000000", VERSE18("John", "WEB"), "WEB"),
           ask("bible.passage",
               "{\"book\":\"John\",\"chapter\":3,\"verse_start\":17,\"verse_end\":9000000000000}"));
}

TEST(answers_a_chapter)
{
    expect(PASSAGE("JOHN 3", VERSE16("JOHN", "WEB") "," VERSE18("JOHN", "WEB"), "WEB"),
           ask("bible.chapter", "{\"book\":\"JOHN\",\"chapter\":3}"));
    expect("chapter_not_found {\"detail\":\"Chapter not found\"}",
           ask("bible.chapter", "{\"book\":\"John\",\"chapter\":4}"));
}

TEST(answers_the_content_of_a_chapter)
{
    expect("ok {\"book\":\"John\",\"chapter\":3,\"translation\":\"WEB\",\"reference\":\"John 3\","
           "\"content\":[{\"type\":\"heading\",\"content\":[\"Love\"]},"
           "{\"type\":\"verse\",\"number\":16,\"content\":[\"For God\",{\"noteId\":1}]},"
           "{\"type\":\"line_break\"},"
           "{\"type\":\"verse\",\"number\":18,\"content\":[{\"poem\":1,\"text\":\"He who\"}]}]}",
           ask("bible.chapter_content", "{\"book\":\"John\",\"chapter\":3}"));
}

TEST(what_does_not_exist_is_not_found)
{
    static const char *const questions[] = {
        "{\"book\":\"John\",\"chapter\":3,\"verse_start\":17}",
        "{\"book\":\"John\",\"chapter\":3,\"verse_start\":18,\"verse_end\":16}",
        "{\"book\":\"John\",\"chapter\":3,\"verse_start\":0,\"verse_end\":18}",
        "{\"book\":\"John\",\"chapter\":3,\"verse_start\":-16}",
        "{\"book\":\"John\",\"chapter\":3,\"verse_start\":9223372036854775807}",
        "{\"book\":\"John\",\"chapter\":0,\"verse_start\":1}",
        "{\"book\":\"John\",\"chapter\":5,\"verse_start\":1}",
        "{\"book\":\"John\",\"chapter\":65539,\"verse_start\":16}",
        "{\"book\":\"John\",\"chapter\":4294967299,\"verse_start\":16}",
        "{\"book\":\"John\",\"chapter\":-9223372036854775807,\"verse_start\":16}",
        "{\"book\":\"Tobit\",\"chapter\":3,\"verse_start\":16}",
        "{\"book\":\"\",\"chapter\":3,\"verse_start\":16}",
        "{\"book\":\"John\",\"chapter\":3,\"verse_start\":16,\"translation\":\"KJV\"}",
        "{\"book\":\"John\",\"chapter\":3,\"verse_start\":16,\"translation\":\"\"}",
    };

    for (size_t i = 0; i < sizeof(questions) / sizeof(*questions); i++)
        expect("passage_not_found {\"detail\":\"Passage not found\"}",
               ask("bible.passage", questions[i]));
    expect("chapter_content_not_found {\"detail\":\"Chapter content not found\"}",
           ask("bible.chapter_content", "{\"book\":\"John\",\"chapter\":5}"));
}

/* ---- pro users ---- */

#define NRSV_JOHN "{\"book\":\"John\",\"chapter\":3,\"verse_start\":16,\"translation\":\"NRSV\"}"
#define REQUIRES_PRO                                                                               \
    "translation_requires_pro {\"detail\":{\"message\":\"The NRSV translation requires a pro "     \
    "subscription.\",\"translation\":\"NRSV\",\"requires_pro\":true}}"

TEST(only_pro_users_read_what_is_theirs)
{
    struct common_request request = messenger_request(&actor, "bible.passage", PRO);
    struct common_reply header;

    expect(REQUIRES_PRO, ask("bible.passage", NRSV_JOHN));
    expect(REQUIRES_PRO, messenger_ask(&actor, "bible.passage", FREE, NRSV_JOHN));
    request.id = ++actor.id;
    messenger_send(&actor, &request, NRSV_JOHN);
    expect(PASSAGE("John 3:16", VERSE16("John", "NRSV"), "NRSV"),
           messenger_receive(&actor, &header));
    cr_expect(str_is(header.validator, "NRSV-12"));
    cr_expect_not(header.public);
    postgres_exec(conn, "update users set pro_subscription = false");
    expect(REQUIRES_PRO, messenger_ask(&actor, "bible.passage", PRO, NRSV_JOHN));
}

TEST(lists_translations)
{
    const char *web = "{\"code\":\"WEB\",\"name\":\"World English Bible\",\"requires_pro\":false}";
    char free_list[256], pro_list[256];

    snprintf(free_list, sizeof(free_list), "ok {\"translations\":[%s]}", web);
    snprintf(
        pro_list, sizeof(pro_list),
        "ok {\"translations\":[{\"code\":\"NRSV\",\"name\":\"New\",\"requires_pro\":true},%s]}",
        web);
    expect(free_list, ask("bible.translations", "{}"));
    expect(free_list, messenger_ask(&actor, "bible.translations", FREE, "{}"));
    expect(pro_list, messenger_ask(&actor, "bible.translations", PRO, "{}"));
}

/* ---- validators ---- */

static struct str ask_with_validator(const char *json, const char *validator,
                                     struct common_reply *header)
{
    struct common_request request = messenger_request(&actor, "bible.passage", NULL);

    request.validator = str_of(validator);
    messenger_send(&actor, &request, json);
    return messenger_receive(&actor, header);
}

TEST(answers_have_validators)
{
    static const char john[] = "{\"book\":\"John\",\"chapter\":3,\"verse_start\":16}";
    static const char nothing[] = "{\"book\":\"John\",\"chapter\":3,\"verse_start\":17}";
    static const char saved[] =
        "{\"book\":\"John\",\"chapter\":3,\"verse_start\":16,\"save\":true}";
    struct common_reply header;
    struct str reply = ask_with_validator(john, NULL, &header);

    cr_expect_eq(strncmp(reply.ptr, "ok ", 3), 0);
    cr_expect(str_is(header.validator, "WEB-11"));
    cr_expect(header.public);
    expect("not_modified {}", ask_with_validator(john, "WEB-11", &header));
    cr_expect(str_is(header.validator, "WEB-11"));
    reply = ask_with_validator(john, "WEB-10", &header);
    cr_expect_eq(strncmp(reply.ptr, "ok ", 3), 0);
    reply = ask_with_validator(nothing, "WEB-11", &header);
    cr_expect_eq(strncmp(reply.ptr, "passage_not_found ", 18), 0);
    cr_expect_null(header.validator.ptr);
    reply = ask_with_validator(saved, "WEB-11", &header);
    cr_expect_eq(strncmp(reply.ptr, "ok ", 3), 0);
    cr_expect_null(header.validator.ptr);
}

/* ---- what is kept in memory ---- */

/* Ends every connection to the test's database and lets no other be made. */
static void close_database(void)
{
    const char *name = strstr(url, "///") + strlen("///");
    int len = (int)strcspn(name, "?");
    char sql[512];

    PQfinish(conn);
    conn = postgres_connect(getenv("LECTERN_TEST_PG"));
    snprintf(sql, sizeof(sql), "alter database %.*s allow_connections false", len, name);
    postgres_exec(conn, sql);
    snprintf(sql, sizeof(sql),
             "select pg_terminate_backend(pid) from pg_stat_activity where datname = '%.*s'", len,
             name);
    postgres_exec(conn, sql);
}

/* Asks for psalms, none of which is there, until the actor knows that the database is away. */
static void expect_unavailable(void)
{
    struct str reply = NO_STR;
    char json[64];

    for (int psalm = 1; psalm <= 150; psalm++) {
        snprintf(json, sizeof(json), "{\"book\":\"Psalms\",\"chapter\":%d}", psalm);
        reply = ask("bible.chapter", json);
        if (strncmp(reply.ptr, "chapter_not_found ", 18) != 0)
            break;
    }
    expect("unavailable {\"detail\":\"The database is not available\"}", reply);
}

TEST(what_was_read_stays_readable_without_the_database)
{
    static const char john[] = "{\"book\":\"John\",\"chapter\":3}";
    static const char web[] = "ok {\"translations\":[{\"code\":\"WEB\"";
    struct str reply;

    ask("bible.chapter", john);
    close_database();
    expect_unavailable();
    expect(PASSAGE("John 3", VERSE16("John", "WEB") "," VERSE18("John", "WEB"), "WEB"),
           ask("bible.chapter", john));
    reply = messenger_ask(&actor, "bible.translations", PRO, "{}");
    cr_expect_eq(strncmp(reply.ptr, web, sizeof(web) - 1), 0, "%s", reply.ptr);
    expect("unavailable {\"detail\":\"The database is not available\"}",
           messenger_ask(&actor, "bible.passage", PRO, NRSV_JOHN));
}

TEST(many_at_once_read_a_chapter_once)
{
    enum { COUNT = 200 };
    struct common_request request = messenger_request(&actor, "bible.chapter", NULL);

    for (int i = 0; i < COUNT; i++) {
        request.id = ++actor.id;
        messenger_send(&actor, &request, "{\"book\":\"John\",\"chapter\":3}");
    }
    for (int i = 0; i < COUNT; i++)
        expect(PASSAGE("John 3", VERSE16("John", "WEB") "," VERSE18("John", "WEB"), "WEB"),
               messenger_receive(&actor, NULL));
    cr_expect_eq(messenger_metric(&actor, "chapters_read_total"), 1);
}

/* ---- storing ---- */

TEST(stores_a_passage_once)
{
    static const char json[] = "{\"book\":\"john\",\"chapter\":3,\"verse_start\":16,"
                               "\"verse_end\":20,\"translation\":\"web\",\"save\":true}";
    static const char one[] = "{\"book\":\"John\",\"chapter\":3,\"verse_start\":18,\"save\":true}";
    static const char all[] = "{\"book\":\"John\",\"chapter\":3,\"save\":true}";

    for (int i = 0; i < 2; i++)
        expect(PASSAGE("john 3:16-20", VERSE16("john", "web") "," VERSE18("john", "web"), "web"),
               ask("bible.passage", json));
    ask("bible.passage", one);
    ask("bible.chapter", all);
    cr_expect_str_eq(
        postgres_value(conn,
                       "select string_agg(format('%s|%s|%s|%s|%s|%s|%s', reference, book, chapter,"
                       "       verse_start, verse_end, translation, text), ';' order by id)"
                       "  from saved_passages"),
        "john 3:16-20|john|3|16|18|web|For God He who;John 3:18|John|3|18||WEB|He who;"
        "John 3|John|3|16|18|WEB|For God He who");
}

TEST(stores_the_same_only_once_also_at_one_time)
{
    enum { COUNT = 100 };
    struct common_request request = messenger_request(&actor, "bible.save_passage", NULL);

    for (int i = 0; i < COUNT; i++) {
        request.id = ++actor.id;
        messenger_send(&actor, &request,
                       "{\"reference\":\"John 3:16\",\"book\":\"John\",\"chapter\":3,"
                       "\"verse_start\":16,\"translation\":\"WEB\",\"text\":\"For God\"}");
    }
    for (int i = 0; i < COUNT; i++)
        expect("ok {\"id\":1}", messenger_receive(&actor, NULL));
    cr_expect_str_eq(postgres_value(conn, "select count(*) from saved_passages"), "1");
    expect("ok {\"id\":2}", ask("bible.save_passage",
                                "{\"reference\":\"John 3:16\",\"book\":\"John\",\"chapter\":3,"
                                "\"verse_start\":16,\"translation\":\"WEB\",\"text\":\"no\"}"));
}
