/* A message's life around its handler; see call.h. */
#include "call.h"
#include "base/time.h"
#include "codec.h"
#include <stdarg.h>
#include <stdio.h>

void call_init(struct call *call, const struct method *method, size_t limit_bytes)
{
    memset(call, 0, sizeof(*call));
    arena_init(&call->arena, limit_bytes);
    call->method = method;
    call->deadline_us = TIME_NEVER;
    if (method != NULL)
        call->log = (struct log_tag){.domain = method->domain, .message = method->name};
}

int call_on_end(struct call *call, void (*run)(void *arg), void *arg)
{
    struct call_end *end = arena_alloc(&call->arena, sizeof(*end));

    if (end == NULL)
        return fail(call, busy, "no memory left in the call");
    *end = (struct call_end){run, arg, call->ends};
    call->ends = end;
    return 0;
}

static void run_ends(struct call *call)
{
    while (call->ends != NULL) {
        struct call_end *end = call->ends;

        call->ends = end->next;
        end->run(end->arg);
    }
}

void call_scope_next(struct call *call)
{
    struct arena *outer = &call->outer_arena;

    if (call->in_scope) {
        run_ends(call);
        arena_clear(&call->arena);
        return;
    }
    *outer = call->arena;
    call->outer_ends = call->ends;
    call->in_scope = true;
    arena_init(&call->arena, outer->limit_bytes - outer->held_bytes);
    call->ends = NULL;
}

struct arena *call_lasting(struct call *call)
{
    return call->in_scope ? &call->outer_arena : &call->arena;
}

void call_scope_keep(struct call *call)
{
    struct call_end **last = &call->ends;

    if (!call->in_scope)
        return;
    while (*last != NULL)
        last = &(*last)->next;
    *last = call->outer_ends;
    arena_join(&call->outer_arena, &call->arena);
    call->arena = call->outer_arena;
    call->in_scope = false;
}

void call_close(struct call *call)
{
    call_scope_keep(call);
    run_ends(call);
    arena_clear(&call->arena);
}

int call_wait_foreign(struct call *call, const char *what)
{
    if (call->db != NULL && call->db->in_transaction)
        return fail(call, internal, "waits for %s while a transaction is open", what);
    switch (fiber_wait(call->deadline_us)) {
    case WAKE_DONE:
        return 0;
    case WAKE_TIMEOUT:
        return fail(call, timeout, "waiting for %s", what);
    case WAKE_CANCEL:
        return fail(call, cancelled, "waiting for %s", what);
    case WAKE_FAILED:
        break;
    }
    return fail(call, internal, "%s failed", what);
}

int call_rest(struct call *call, int64_t for_us)
{
    int64_t deadline_us = call->deadline_us;
    int64_t until_us = time_now_us() + for_us;
    int error = 0;

    call->deadline_us = until_us < deadline_us ? until_us : deadline_us;
    while (error == 0)
        error = call_wait_foreign(call, "a moment");
    call->deadline_us = deadline_us;
    if (until_us >= deadline_us || !failed_with(&call->failure, &fault_timeout))
        return -1;
    failure_clear(&call->failure);
    return 0;
}

bool call_validate(struct call *call, struct str validator, bool public_answer)
{
    call->reply_validator = validator;
    call->reply_public = public_answer;
    call->reply_not_modified = call->validator.ptr != NULL && str_equal(call->validator, validator);
    return call->reply_not_modified;
}

int fail_detail_at(struct call *call, const struct fault *fault, const void *detail,
                   const char *file, int line, const char *format, ...)
{
    char text[sizeof(call->failure.text)];
    struct buffer bytes;
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (call->failure.fault != NULL)
        return -1;
    buffer_init(&bytes, &call->arena, WIRE_MOST_DETAIL_BYTES);
    codec_encode(&bytes, fault->detail, detail);
    if (bytes.failed)
        return fail(call, busy, "no memory left for the detail of %s", fault->name);
    fail_at(&call->failure, fault, file, line, "%s", text);
    call->failure.detail = buffer_str(&bytes);
    return -1;
}
