/* Questions under way: attempts, waiting, and what their ends mean; see llm.h.
 *
 * A question is on the heap and belongs to its call, which ends it at the latest. Its fetch tells
 * what comes, out of the loop: that is put into the reading, and the call's fiber is woken. When
 * the reader is slower than the provider, the fetch is held. */
#include "llm.h"
#include "base/stat.h"
#include "base/time.h"
#include "events.h"
#include "fetch.h"
#include "provider.h"
#include <stdlib.h>

enum {
    BODY_MOST_BYTES = 4 * 1024 * 1024, /* of a question, and of a whole answer */
    HELD_BYTES = 64 * 1024,            /* of text that is not taken, beyond which no more is read */
    ATTEMPTS = 2
};

#define RETRY_US TIME_MS(500)

struct llm_stream {
    struct call *call;          /* whose */
    struct llm_stream **place;  /* in the call, by which it is ended with it */
    bool stream;                /* events are wanted, else a whole answer */
    struct buffer body;         /* of the request */
    struct fetch *fetch;        /* under way; NULL: over */
    struct event_reader events; /* of a stream */
    struct buffer answer;       /* a whole answer, or an error's body */
    struct llm_reading reading; /* what was understood */
    struct buffer given;        /* the text that the caller has */
    int status;                 /* of HTTP; 0: none came */
    int64_t retry_after_s;      /* that the provider wishes */
    bool waiting;               /* the fiber waits for something to come */
    bool counted;               /* provider_end() is due */
    int64_t began_us;           /* monotonic */
};

static struct provider provider;

static const char *const outcomes[] = {
#define TROUBLE(name, text) #name,
    LLM_TROUBLES(TROUBLE)
#undef TROUBLE
};

STAT_LABELED(llm_questions_total, counter, "outcome", "Questions to the language model, by end.");
STAT(llm_retries_total, counter, "Questions that were sent a second time.");
STAT(llm_asking, gauge, "Questions to the language model under way.");
STAT(llm_first_token_seconds, histogram, "From the question to the first of its answer.");

/* ---- what comes ---- */

static void wake(struct llm_stream *stream)
{
    if (stream->waiting)
        fiber_wake(stream->call->fiber, WAKE_DONE);
}

static void on_head(void *arg, int status, int64_t retry_after_s)
{
    struct llm_stream *stream = arg;

    stream->status = status;
    stream->retry_after_s = retry_after_s;
}

static bool on_event(void *arg, const char *name, struct str data)
{
    struct llm_stream *stream = arg;

    return provider.protocol->event(&stream->reading, name, data);
}

/* An answer that does not come in events, or says that something is wrong. */
static void take_whole(struct llm_stream *stream, struct str bytes)
{
    buffer_add_str(&stream->answer, bytes);
    if (!stream->answer.failed)
        return;
    if (stream->status == 200)
        llm_fail(&stream->reading, LLM_malformed, STR("it is too large"));
    else
        llm_read_error(&stream->reading, stream->status, NO_STR);
}

static bool on_data(void *arg, struct str bytes)
{
    struct llm_stream *stream = arg;

    if (stream->status != 200 || !stream->stream) {
        take_whole(stream, bytes);
    } else if (stream->reading.trouble == LLM_none && !stream->reading.ended &&
               event_feed(&stream->events, bytes, on_event, stream) != 0) {
        llm_fail(&stream->reading, LLM_malformed, STR("an event is too large"));
    }
    wake(stream);
    return stream->reading.text.len < HELD_BYTES;
}

/* Nothing more comes: what is missing is trouble. */
static void judge_end(struct llm_stream *stream, const char *error)
{
    struct llm_reading *reading = &stream->reading;

    if (stream->status != 0 && stream->status != 200)
        llm_read_error(reading, stream->status, buffer_str(&stream->answer));
    else if (error != NULL)
        llm_fail(reading, stream->status == 0 ? LLM_unreachable : LLM_cut, str_of(error));
    else if (!stream->stream)
        provider.protocol->answer(reading, buffer_str(&stream->answer));
    else if (reading->stop_reason[0] == '\0')
        llm_fail(reading, LLM_cut, STR("it ends before its end"));
}

/* What becomes of the connection behind a complete answer is of no interest. */
static void on_done(void *arg, const char *error)
{
    struct llm_stream *stream = arg;

    stream->fetch = NULL;
    if (!stream->reading.ended)
        judge_end(stream, error);
    stream->reading.ended = true;
    wake(stream);
}

static const struct fetch_events fetch_events = {.head = on_head, .data = on_data, .done = on_done};

/* ---- an attempt ---- */

static void forget_answer(struct llm_stream *stream)
{
    fetch_cancel(&stream->fetch);
    event_reader_free(&stream->events);
    buffer_free(&stream->answer);
    buffer_free(&stream->reading.text);
}

static int start(struct llm_stream *stream, const struct llm_form *form)
{
    struct fetch_request request = {.url = provider.url,
                                    .headers = (const char *const *)provider.headers,
                                    .body = buffer_str(&stream->body)};

    event_reader_init(&stream->events);
    buffer_init(&stream->answer, NULL, BODY_MOST_BYTES);
    stream->reading =
        (struct llm_reading){.form = form, .secret = provider.key, .arena = &stream->call->arena};
    buffer_init(&stream->reading.text, NULL, BODY_MOST_BYTES);
    stream->status = 0;
    stream->retry_after_s = 0;
    stream->fetch = fetch_start(&request, &fetch_events, stream);
    return stream->fetch != NULL ? 0 : fail(stream->call, busy, "no memory for a question");
}

static bool has_something(const struct llm_stream *stream)
{
    const struct llm_reading *reading = &stream->reading;

    return reading->text.len > 0 || reading->ended || reading->trouble != LLM_none;
}

/* One wait, of at most `limit_us`: a longer one is the provider's fault, unless what it waits for
 * has come in the same turn. */
static int await(struct llm_stream *stream, int64_t limit_us)
{
    struct call *call = stream->call;
    int64_t deadline_us = call->deadline_us;
    int64_t until_us = limit_us < deadline_us ? limit_us : deadline_us;
    int error;

    call->deadline_us = until_us;
    stream->waiting = true;
    error = call_wait_foreign(call, "the language model");
    stream->waiting = false;
    call->deadline_us = deadline_us;
    if (error != 0 && failed_with(&call->failure, &fault_timeout) && until_us < deadline_us) {
        failure_clear(&call->failure);
        if (!has_something(stream))
            llm_fail(&stream->reading, LLM_slow, NO_STR);
        return 0;
    }
    return error;
}

static int await_something(struct llm_stream *stream, int64_t patience_us)
{
    int64_t limit_us = time_now_us() + patience_us;

    while (!has_something(stream))
        if (await(stream, limit_us) != 0)
            return -1;
    if (stream->reading.ended && stream->reading.trouble == LLM_none && !stream->reading.any &&
        stream->reading.values == NULL)
        llm_fail(&stream->reading, LLM_empty, NO_STR);
    return 0;
}

static bool may_try_again(const struct llm_reading *reading)
{
    return !reading->any &&
           (reading->trouble == LLM_limited || reading->trouble == LLM_overloaded ||
            reading->trouble == LLM_unreachable);
}

/* When a stream must have begun, at whichever attempt; a whole answer has as long as its call. */
static int64_t begins_by_us(const struct llm_stream *stream)
{
    int64_t by_us = stream->began_us + provider.first_token_us;

    return stream->stream && by_us < stream->call->deadline_us ? by_us : stream->call->deadline_us;
}

/* Waits before the second attempt, as long as the provider wishes. False: there is no time. */
static bool rest(struct llm_stream *stream)
{
    int64_t wish_us = TIME_S(stream->retry_after_s);
    int64_t until_us = time_now_us() + (wish_us > RETRY_US ? wish_us : RETRY_US);

    if (until_us >= begins_by_us(stream))
        return false;
    forget_answer(stream);
    stream->reading.trouble = LLM_none;
    stream->reading.ended = false;
    while (stream->reading.trouble == LLM_none)
        if (await(stream, until_us) != 0)
            return false;
    return true;
}

/* ---- the end of a question ---- */

/* Whether the provider, and not the question, is at fault. */
static bool is_blamed(enum llm_trouble trouble)
{
    return trouble == LLM_limited || trouble == LLM_overloaded || trouble == LLM_unreachable ||
           trouble == LLM_slow || trouble == LLM_cut;
}

static void count_end(struct llm_stream *stream, bool known)
{
    enum llm_trouble trouble = stream->reading.trouble;

    if (!stream->counted)
        return;
    stream->counted = false;
    provider_end(&provider, known, known && is_blamed(trouble));
    if (known)
        stat_add_at(&llm_questions_total, trouble, 1);
}

static int fail_question(struct llm_stream *stream)
{
    const struct llm_reading *reading = &stream->reading;
    struct call *call = stream->call;

    count_end(stream, true);
    log_warn(call, "%s: %s%s%s", "the language model", llm_trouble_text(reading->trouble),
             reading->why[0] != '\0' ? ": " : "", reading->why);
    if (reading->trouble == LLM_refused_key)
        return fail(call, model_refused_key, "%s", llm_trouble_text(reading->trouble));
    return fail(call, model_failed, "%s", llm_trouble_text(reading->trouble));
}

static void stream_free(struct llm_stream *stream)
{
    *stream->place = NULL;
    count_end(stream, false);
    forget_answer(stream);
    buffer_free(&stream->body);
    buffer_free(&stream->given);
    free(stream);
}

static void end_with_call(void *arg)
{
    struct llm_stream **place = arg;

    llm_end(place);
}

/* ---- questions ---- */

/* A place in its call, by which the stream ends with it; NULL without memory. */
static struct llm_stream *stream_place(struct call *call)
{
    struct llm_stream **place = arena_zalloc(&call->arena, sizeof(*place));
    struct llm_stream *stream = place != NULL ? calloc(1, sizeof(*stream)) : NULL;

    if (stream == NULL || call_on_end(call, end_with_call, place) != 0) {
        free(stream);
        return NULL;
    }
    *place = stream;
    stream->call = call;
    stream->place = place;
    return stream;
}

/* The stream of a question that may be asked; NULL with a failure recorded. */
static struct llm_stream *stream_new(struct call *call, const struct llm_question *question,
                                     bool events)
{
    struct llm_stream *stream = NULL;

    if (provider.protocol != NULL)
        stream = stream_place(call);
    else
        fail(call, model_absent, "no provider is configured");
    if (stream == NULL) {
        fail(call, busy, "no memory for a question"); /* where that is the first cause */
        return NULL;
    }
    stream->stream = events;
    stream->began_us = time_now_us();
    buffer_init(&stream->given, NULL, BODY_MOST_BYTES);
    buffer_init(&stream->body, NULL, BODY_MOST_BYTES);
    provider.protocol->write(&stream->body, question, provider.model, events);
    stream->counted = !stream->body.failed && provider_begin(&provider);
    if (stream->counted)
        return stream;
    if (stream->body.failed)
        fail(call, busy, "no memory for a question");
    else
        fail(call, model_busy, "%u questions are under way, %u failed in a row", provider.asking,
             provider.failures);
    return NULL;
}

/* The caller's time is over. The provider is slow where it had more than what an answer may take to
 * begin; else nothing is known of it. */
static void note_timeout(struct llm_stream *stream)
{
    if (!failed_with(&stream->call->failure, &fault_timeout) ||
        time_now_us() - stream->began_us < provider.first_token_us)
        return;
    llm_fail(&stream->reading, LLM_slow, NO_STR);
    count_end(stream, true);
}

/* Trouble behind a text that came is for llm_next() to tell. */
static bool has_begun(const struct llm_stream *stream)
{
    return stream->reading.trouble == LLM_none || (stream->stream && stream->reading.text.len > 0);
}

/* Until the answer begins; of a whole one, until it is there. */
static int attempt(struct llm_stream *stream, const struct llm_form *form)
{
    for (int tries = 1;; tries++) {
        if (start(stream, form) != 0)
            return -1;
        if (await_something(stream, begins_by_us(stream) - time_now_us()) != 0) {
            note_timeout(stream);
            return -1;
        }
        if (has_begun(stream)) {
            stat_observe(&llm_first_token_seconds, time_now_us() - stream->began_us);
            return 0;
        }
        if (tries == ATTEMPTS || !may_try_again(&stream->reading) || !rest(stream))
            break;
        stat_add(&llm_retries_total, 1);
    }
    return stream->call->failure.fault != NULL ? -1 : fail_question(stream);
}

int llm_begin(struct call *call, const struct llm_question *question, struct llm_stream **stream)
{
    *stream = NULL;
    *stream = stream_new(call, question, true);
    if (*stream == NULL)
        return -1;
    if (attempt(*stream, question->form) == 0)
        return 0;
    llm_end(stream);
    return -1;
}

int llm_next(struct llm_stream *stream, struct str *text)
{
    struct llm_reading *reading = &stream->reading;
    struct buffer taken = stream->given;

    *text = NO_STR;
    if (await_something(stream, provider.next_token_us) != 0)
        return -1;
    if (reading->text.len == 0) {
        if (reading->trouble != LLM_none)
            return fail_question(stream);
        count_end(stream, true);
        return 0;
    }
    stream->given = reading->text;
    taken.len = 0;
    reading->text = taken;
    if (stream->fetch != NULL)
        fetch_resume(stream->fetch);
    *text = buffer_str(&stream->given);
    return 0;
}

struct str llm_stop_reason(const struct llm_stream *stream)
{
    const char *reason = stream->reading.stop_reason;

    return reason[0] != '\0' ? str_of(reason) : NO_STR;
}

void llm_end(struct llm_stream **stream)
{
    if (*stream != NULL)
        stream_free(*stream);
    *stream = NULL;
}

static int take_answer(struct llm_stream *stream, const struct llm_form *form, struct str *values)
{
    struct llm_reading *reading = &stream->reading;

    count_end(stream, true);
    if (form != NULL) {
        memcpy(values, reading->values, form->count * sizeof(*values));
        return 0;
    }
    *values = arena_copy(&stream->call->arena, buffer_str(&reading->text));
    return values->ptr != NULL ? 0 : fail(stream->call, busy, "no memory for an answer");
}

int llm_ask(struct call *call, const struct llm_question *question, struct str *values)
{
    struct llm_stream *stream = stream_new(call, question, false);
    int error;

    if (stream == NULL)
        return -1;
    error = attempt(stream, question->form);
    if (error == 0)
        error = take_answer(stream, question->form, values);
    llm_end(&stream);
    return error;
}

/* ---- the module ---- */

static void refresh_stats(void *arg)
{
    (void)arg;
    stat_set(&llm_asking, provider.asking);
}

int llm_check(struct call *call)
{
    if (provider.protocol == NULL)
        return fail(call, model_absent, "no provider is configured");
    if (provider_may_begin(&provider))
        return 0;
    return fail(call, model_busy, "%u questions are under way, %u failed in a row", provider.asking,
                provider.failures);
}

void llm_open(const struct llm_options *options)
{
    fetch_open(options->llm_ca_file);
    provider_open(&provider, options);
    if (provider.protocol != NULL)
        fetch_warm(provider.url);
    stat_register_labels(&llm_questions_total, outcomes, LLM_TROUBLE_COUNT);
    stat_register(&llm_retries_total);
    stat_register(&llm_asking);
    stat_register(&llm_first_token_seconds);
    stat_on_render(refresh_stats, NULL);
}

void llm_close(void)
{
    fetch_close();
    provider_close(&provider);
}
