/* Paths to messages: those of the contract, and a few rows of the kind that will come. */
#include "router.h"
#include <criterion/criterion.h>

static void serve(struct exchange *exchange)
{
    (void)exchange;
}

static const struct own_route own[] = {{"/", serve}, {"/health", serve}};

/* Rows in place of two that HTTP does not offer. */
static void open_routes(void)
{
    contract_open();
    methods[METHOD_bible_save_passage].verb = VERB_DELETE;
    methods[METHOD_bible_save_passage].path = "/thing/{thing_id}/messages/{id}";
    methods[METHOD_user_get_or_create_user].verb = VERB_DELETE;
    methods[METHOD_user_get_or_create_user].path = "/thing/{thing_id}";
    methods[METHOD_user_get_user_by_anonymous_id].verb = VERB_POST;
    methods[METHOD_user_get_user_by_anonymous_id].path = "/thing/message";
    router_open(own, sizeof(own) / sizeof(*own));
}

TestSuite(router, .init = open_routes, .fini = router_close, .timeout = 10);

Test(router, finds)
{
    static const struct {
        enum http_method method;
        const char *path;
        enum route_outcome outcome;
        int number; /* of the message; -1: one of our own, or none */
        const char *allow;
    } cases[] = {
        {HTTP_GET, "/", ROUTE_FOUND, -1, NULL},
        {HTTP_HEAD, "/health", ROUTE_FOUND, -1, NULL},
        {HTTP_POST, "/health", ROUTE_WRONG_VERB, -1, "GET, HEAD"},
        {HTTP_GET, "/api/health", ROUTE_UNKNOWN, -1, NULL},
        {HTTP_GET, "/api/user/session", ROUTE_FOUND, METHOD_user_session, NULL},
        {HTTP_HEAD, "/api/user/session", ROUTE_FOUND, METHOD_user_session, NULL},
        {HTTP_GET, "/api/%75ser/session", ROUTE_FOUND, METHOD_user_session, NULL},
        {HTTP_GET, "/api%2Fuser/session", ROUTE_FOUND, METHOD_user_session, NULL},
        {HTTP_GET, "/user/session", ROUTE_UNKNOWN, -1, NULL},
        {HTTP_GET, "/api/user/Session", ROUTE_UNKNOWN, -1, NULL},
        {HTTP_GET, "/api//user/session", ROUTE_UNKNOWN, -1, NULL},
        {HTTP_GET, "/api", ROUTE_UNKNOWN, -1, NULL},
        {HTTP_GET, "/api/", ROUTE_UNKNOWN, -1, NULL},
        {HTTP_GET, "*", ROUTE_UNKNOWN, -1, NULL},
        {HTTP_POST, "/api/user/session", ROUTE_WRONG_VERB, -1, "GET, HEAD"},
        {HTTP_OPTIONS, "/api/user/session", ROUTE_WRONG_VERB, -1, "GET, HEAD"},
        {HTTP_OTHER, "/api/user/session", ROUTE_WRONG_VERB, -1, "GET, HEAD"},
        {HTTP_GET, "/api/user/session/", ROUTE_SLASH, -1, NULL},
        {HTTP_POST, "/api/user/session///", ROUTE_SLASH, -1, NULL},
        {HTTP_DELETE, "/api/thing/7", ROUTE_FOUND, METHOD_user_get_or_create_user, NULL},
        {HTTP_DELETE, "/api/thing/message", ROUTE_FOUND, METHOD_user_get_or_create_user, NULL},
        {HTTP_POST, "/api/thing/message", ROUTE_FOUND, METHOD_user_get_user_by_anonymous_id, NULL},
        {HTTP_GET, "/api/thing/message", ROUTE_WRONG_VERB, -1, "POST, DELETE"},
        {HTTP_POST, "/api/thing/7", ROUTE_WRONG_VERB, -1, "DELETE"},
        {HTTP_DELETE, "/api/thing/7/messages/8", ROUTE_FOUND, METHOD_bible_save_passage, NULL},
        {HTTP_DELETE, "/api/thing//messages/8", ROUTE_UNKNOWN, -1, NULL},
        {HTTP_DELETE, "/api/thing/7%2F8", ROUTE_UNKNOWN, -1, NULL},
        {HTTP_DELETE, "/api/thing/7/messages", ROUTE_UNKNOWN, -1, NULL},
        {HTTP_DELETE, "/api/thing/7/", ROUTE_SLASH, -1, NULL},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct route_match match = router_find(cases[i].method, str_of(cases[i].path));

        cr_expect_eq(match.outcome, cases[i].outcome, "%s", cases[i].path);
        if (match.outcome == ROUTE_FOUND && cases[i].number >= 0)
            cr_expect_eq(match.method, &methods[cases[i].number], "%s", cases[i].path);
        if (match.outcome == ROUTE_FOUND && cases[i].number < 0)
            cr_expect(match.method == NULL && match.own != NULL, "%s", cases[i].path);
        if (cases[i].allow != NULL)
            cr_expect_str_eq(match.allow, cases[i].allow, "%s", cases[i].path);
    }
}

Test(router, without_the_slash)
{
    struct route_match match = router_find(HTTP_GET, STR("/api/%75ser/session//"));

    cr_assert_eq(match.outcome, ROUTE_SLASH);
    cr_assert(str_is(match.short_path, "/api/%75ser/session"));
}

Test(router, long_paths)
{
    char path[3 * HTTP_TARGET_BYTES];

    memset(path, '/', sizeof(path));
    cr_assert_eq(router_find(HTTP_GET, (struct str){path, sizeof(path)}).outcome, ROUTE_SLASH);
    memset(path, 'a', sizeof(path));
    cr_assert_eq(router_find(HTTP_GET, (struct str){path, sizeof(path)}).outcome, ROUTE_UNKNOWN);
}

Test(router, operators_messages_are_not_offered)
{
    router_close();
    methods[METHOD_user_session].who = WHO_operators;
    router_open(own, 2);
    cr_assert_eq(router_find(HTTP_GET, STR("/api/user/session")).outcome, ROUTE_UNKNOWN);
}

Test(router, fields)
{
    const struct method *method = &methods[METHOD_bible_save_passage];
    struct str values[ROUTE_MOST_FIELDS];
    struct arena arena;

    arena_init(&arena, 64 * 1024);
    cr_assert_eq(router_fields(method, STR("/api/thing/a%20b/messages/%378"), &arena, values), 2);
    cr_assert(str_is(values[0], "a b"));
    cr_assert(str_is(values[1], "78"));
    cr_assert_eq(router_field_at(method, STR("thing_id")), 0);
    cr_assert_eq(router_field_at(method, STR("id")), 1);
    cr_assert_eq(router_field_at(method, STR("chat")), -1);
    cr_assert_eq(router_fields(&methods[METHOD_user_session], STR("/x"), &arena, values), 0);
    arena_clear(&arena);
    arena_trim();
}
