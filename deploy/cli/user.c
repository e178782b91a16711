/* `lectern user pro`: who has a pro subscription. Each action is a message to an actor of the
 * domain `user`, whose answer is printed. */
#include "cli.h"
#include "message.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

struct action {
    const char *name;
    enum method_number method;
    bool takes_id;  /* whom it is about */
    bool sets, pro; /* whether it has the input `pro_subscription`, and that */
};

static const struct action actions[] = {
    {"add", METHOD_user_set_pro_subscription, true, true, true},
    {"remove", METHOD_user_set_pro_subscription, true, true, false},
    {"status", METHOD_user_get_user_by_anonymous_id, true, false, false},
    {"list", METHOD_user_get_pro_users, false, false, false},
};
enum { ACTION_COUNT = sizeof(actions) / sizeof(actions[0]), BODY_BYTES = 16 * 1024 };

static const char help[] =
    "usage: lectern user pro add|remove|status ID\n"
    "       lectern user pro list\n\n"
    "Gives a user a pro subscription or ends it, shows one user, or all that have one. ID is the\n"
    "user's anonymous id, also one of a device that was linked. The answer is "
    "JSON.\n\n" MESSAGE_HELP "\n"
    "example:\n"
    "  lectern user pro add 3f0c1a9e-6f2a-4e0e-9a53-1f6d7a0b9c11\n";

static int refuse_action(const char *name)
{
    struct nearest nearest = nearest_to(name);

    for (int i = 0; i < ACTION_COUNT; i++)
        nearest_try(&nearest, actions[i].name);
    if (nearest.name != NULL)
        fprintf(stderr, "lectern user: no action `%s`; did you mean `%s`?\n", name, nearest.name);
    else
        fprintf(stderr, "lectern user: no action `%s`; `lectern user --help` lists them\n", name);
    return EX_USAGE;
}

/* `pro ACTION [ID]`. */
static int read_arguments(int argc, char **argv, const struct action **action, const char **id)
{
    int wanted;

    if (argc < 3 || strcmp(argv[1], "pro") != 0) {
        fprintf(stderr, "lectern user: it is `lectern user pro ACTION`; `lectern user --help`\n");
        return EX_USAGE;
    }
    *action = NULL;
    for (int i = 0; i < ACTION_COUNT; i++)
        if (strcmp(actions[i].name, argv[2]) == 0)
            *action = &actions[i];
    if (*action == NULL)
        return refuse_action(argv[2]);
    wanted = (*action)->takes_id ? 4 : 3;
    *id = (*action)->takes_id ? argv[3] : NULL;
    if (argc == wanted)
        return EX_OK;
    if (argc < wanted)
        fprintf(stderr, "lectern user: pro %s needs the user's anonymous id\n", argv[2]);
    else
        fprintf(stderr, "lectern user: `%s` is one argument too many\n", argv[wanted]);
    return EX_USAGE;
}

/* The inputs as msgpack; an id that is no text comes to the actor as it is. */
static void write_body(struct buffer *body, const struct action *action, const char *id)
{
    msgpack_packer packer;

    msgpack_packer_init(&packer, body, buffer_append);
    msgpack_pack_map(&packer, (size_t)(id != NULL) + (size_t)action->sets);
    if (id != NULL) {
        codec_encode_str(body, STR("anonymous_id"));
        codec_encode_str(body, str_of(id));
    }
    if (!action->sets)
        return;
    codec_encode_str(body, STR("pro_subscription"));
    if (action->pro)
        msgpack_pack_true(&packer);
    else
        msgpack_pack_false(&packer);
}

static int send_action(struct arena *arena, const struct action *action, const char *id)
{
    struct message message = {.command = "lectern user",
                              .arena = arena,
                              .method = &methods[action->method],
                              .timeout_ms = MESSAGE_TIMEOUT_MS};
    struct buffer body;

    buffer_init(&body, arena, BODY_BYTES);
    write_body(&body, action, id);
    if (!body.failed)
        return message_send(&message, buffer_str(&body));
    fprintf(stderr, "lectern user: the id is too long\n");
    return EX_USAGE;
}

int cli_user(int argc, char **argv)
{
    const struct action *action;
    const char *id;
    struct arena arena;
    int code;

    if (cli_wants_help(argc, argv)) {
        (void)fputs(help, stdout);
        return EX_OK;
    }
    code = read_arguments(argc, argv, &action, &id);
    if (code != EX_OK)
        return code;
    arena_init(&arena, MESSAGE_ARENA_BYTES);
    code = send_action(&arena, action, id);
    arena_clear(&arena);
    return code;
}
