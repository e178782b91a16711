/* Both protocols: what is asked, and what each answer and each trouble is read as. */
#include "json.h"
#include "protocol.h"
#include <criterion/criterion.h>
#include <stdio.h>

static const struct llm_part parts[] = {{"first", "the first part"}, {"second", "a \"second\""}};
static const struct llm_form form = {
    .name = "give_parts", .prose = "Gives them.", .parts = parts, .count = 2};

static struct arena arena;
static struct llm_reading reading;

static void open_reading(void)
{
    arena_init(&arena, 32 << 20);
    reading = (struct llm_reading){.arena = &arena, .secret = "sk-very-secret"};
    buffer_init(&reading.text, NULL, 4 << 20);
}

static void close_reading(void)
{
    buffer_free(&reading.text);
    arena_clear(&arena);
    arena_trim();
}

static void read_anew(const struct llm_form *wanted)
{
    close_reading();
    open_reading();
    reading.form = wanted;
}

TestSuite(llm_protocol, .init = open_reading, .fini = close_reading, .timeout = 30);

/* ---- what is asked ---- */

static const struct llm_message messages[] = {
    {{"user", 4}, {"Who?", 4}},
    {{"assistant", 9}, {"Paul.", 5}},
    {{"user", 4}, {"\"</x>\"\n\xC3\xA9", 9}},
};

/* The request's JSON, which must be some. */
static const char *request(const struct llm_protocol *protocol, const struct llm_form *wanted,
                           bool stream)
{
    struct llm_question question = {.system = STR("Be \"kind\"."),
                                    .messages = messages,
                                    .count = 3,
                                    .most_tokens = 77,
                                    .form = wanted};
    struct buffer out;
    msgpack_object value;
    const char *why;
    size_t offset;

    buffer_init(&out, &arena, 1 << 20);
    protocol->write(&out, &question, "model-1", stream);
    cr_assert_eq(json_read(&arena, buffer_str(&out), &value, &why, &offset), 0);
    buffer_add_char(&out, '\0');
    return buffer_str(&out).ptr;
}

static void has(const char *text, const char *piece)
{
    cr_assert_not_null(strstr(text, piece), "%s is not in %s", piece, text);
}

#define SAID                                                                                       \
    "{\"role\":\"user\",\"content\":\"Who?\"},{\"role\":\"assistant\",\"content\":\"Paul.\"},"     \
    "{\"role\":\"user\",\"content\":\"\\\"</x>\\\"\\n\xC3\xA9\"}]"

#define SCHEMA                                                                                     \
    "{\"type\":\"object\",\"properties\":{"                                                        \
    "\"first\":{\"type\":\"string\",\"description\":\"the first part\"},"                          \
    "\"second\":{\"type\":\"string\",\"description\":\"a \\\"second\\\"\"}},"                      \
    "\"required\":[\"first\",\"second\"],\"additionalProperties\":false}"

Test(llm_protocol, anthropic_is_asked)
{
    const char *text = request(&llm_anthropic, NULL, true);

    has(text, "{\"model\":\"model-1\",\"max_tokens\":77,\"stream\":true,"
              "\"system\":\"Be \\\"kind\\\".\",\"messages\":[" SAID "}");
    text = request(&llm_anthropic, &form, false);
    has(text, "\"stream\":false");
    has(text, "\"tools\":[{\"name\":\"give_parts\",\"description\":\"Gives them.\","
              "\"input_schema\":" SCHEMA "}],"
              "\"tool_choice\":{\"type\":\"tool\",\"name\":\"give_parts\"}}");
    cr_assert_str_eq(llm_anthropic.path, "/v1/messages");
}

Test(llm_protocol, openai_is_asked)
{
    const char *text = request(&llm_openai, NULL, true);

    has(text, "{\"model\":\"model-1\",\"stream\":true,\"messages\":["
              "{\"role\":\"system\",\"content\":\"Be \\\"kind\\\".\"}," SAID ",");
    text = request(&llm_openai, &form, false);
    has(text, "\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"strict\":true,"
              "\"name\":\"give_parts\",\"schema\":" SCHEMA "}}");
    cr_assert_str_eq(llm_openai.path, "/chat/completions");
    has(text, ",\"max_tokens\":77}");
    has(request(&llm_openai_itself, NULL, true), ",\"max_completion_tokens\":77}");
}

/* ---- whole answers ---- */

struct answer {
    const struct llm_protocol *protocol;
    const struct llm_form *form;
    const char *body;
    enum llm_trouble trouble;
    const char *text; /* or the first part */
    const char *stop;
};

#define ANTHROPIC(content, stop) "{\"content\":[" content "],\"stop_reason\":\"" stop "\"}"
#define TOOL(input) "{\"type\":\"tool_use\",\"name\":\"give_parts\",\"input\":" input "}"
#define TEXT(text) "{\"type\":\"text\",\"text\":\"" text "\"}"
#define OPENAI(message, stop)                                                                      \
    "{\"choices\":[{\"message\":" message ",\"finish_reason\":\"" stop "\"}]}"
#define CONTENT(text) "{\"content\":\"" text "\"}"

static const struct answer answers[] = {
    {&llm_anthropic, NULL, ANTHROPIC(TEXT("In ") "," TEXT("it"), "end_turn"), LLM_none, "In it",
     "end_turn"},
    {&llm_anthropic, NULL, ANTHROPIC("{\"type\":\"thinking\",\"text\":\"no\"}," TEXT("a"), "x"),
     LLM_none, "a", "x"},
    {&llm_anthropic, NULL, ANTHROPIC(TEXT("a"), "no word"), LLM_none, "a", "other"},
    {&llm_anthropic, NULL, ANTHROPIC(TEXT("cut"), "max_tokens"), LLM_none, "cut", "max_tokens"},
    {&llm_anthropic, NULL, ANTHROPIC(TEXT("a"), "refusal"), LLM_refusal, NULL, NULL},
    {&llm_anthropic, NULL, ANTHROPIC("", "end_turn"), LLM_none, "", "end_turn"},
    {&llm_anthropic, NULL, ANTHROPIC(TEXT("\\u0000"), "end_turn"), LLM_malformed, NULL, NULL},
    {&llm_anthropic, NULL, ANTHROPIC(TEXT("a\\ud800b"), "end_turn"), LLM_none,
     "a\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"
     "b",
     "end_turn"},
    {&llm_anthropic, NULL, "{}", LLM_malformed, NULL, NULL},
    {&llm_anthropic, NULL, "[]", LLM_malformed, NULL, NULL},
    {&llm_anthropic, NULL, "{\"content\":3}", LLM_malformed, NULL, NULL},
    {&llm_anthropic, NULL, "{\"content\":[3,null,{}]}", LLM_none, "", ""},
    {&llm_anthropic, NULL, "{", LLM_malformed, NULL, NULL},
    {&llm_anthropic, NULL, "", LLM_malformed, NULL, NULL},
    {&llm_anthropic, &form,
     ANTHROPIC(TEXT("Well.") "," TOOL("{\"second\":\"B\",\"first\":\" A \",\"z\":1}"), "tool_use"),
     LLM_none, "A", "tool_use"},
    {&llm_anthropic, &form, ANTHROPIC(TOOL("{\"first\":\"A\"}"), "tool_use"), LLM_malformed, NULL,
     NULL},
    {&llm_anthropic, &form, ANTHROPIC(TOOL("{\"first\":\"A\",\"second\":\" \\n\"}"), "tool_use"),
     LLM_malformed, NULL, NULL},
    {&llm_anthropic, &form, ANTHROPIC(TOOL("{\"first\":\"A\",\"second\":[\"B\"]}"), "tool_use"),
     LLM_malformed, NULL, NULL},
    {&llm_anthropic, &form, ANTHROPIC(TOOL("{\"first\":\"A\",\"second\":\"\\u0000\"}"), "x"),
     LLM_malformed, NULL, NULL},
    {&llm_anthropic, &form, ANTHROPIC(TOOL("\"text\""), "tool_use"), LLM_malformed, NULL, NULL},
    {&llm_anthropic, &form, ANTHROPIC(TEXT("{\\\"first\\\":1}"), "end_turn"), LLM_malformed, NULL,
     NULL},
    {&llm_anthropic, &form, ANTHROPIC(TOOL("{\"first\":\"A\",\"second\":\"B\"}"), "max_tokens"),
     LLM_too_long, NULL, NULL},
    {&llm_anthropic, &form, ANTHROPIC("", "refusal"), LLM_refusal, NULL, NULL},

    {&llm_openai, NULL, OPENAI(CONTENT("In it"), "stop"), LLM_none, "In it", "end_turn"},
    {&llm_openai, NULL, OPENAI(CONTENT("cut"), "length"), LLM_none, "cut", "max_tokens"},
    {&llm_openai, NULL, OPENAI(CONTENT("a"), "content_filter"), LLM_refusal, NULL, NULL},
    {&llm_openai, NULL, OPENAI("{\"content\":null,\"refusal\":\"I won't\"}", "stop"), LLM_refusal,
     NULL, NULL},
    {&llm_openai, NULL, OPENAI("{\"content\":null}", "stop"), LLM_none, "", "end_turn"},
    {&llm_openai, NULL, "{\"choices\":[]}", LLM_malformed, NULL, NULL},
    {&llm_openai, NULL, "{\"choices\":[7]}", LLM_malformed, NULL, NULL},
    {&llm_openai, NULL, "{\"error\":{\"message\":\"broken\"}}", LLM_overloaded, NULL, NULL},
    {&llm_openai, NULL, "nothing", LLM_malformed, NULL, NULL},
    {&llm_openai, &form,
     OPENAI(CONTENT("{\\\"first\\\":\\\"A\\\",\\\"second\\\":\\\"B\\\"}"), "stop"), LLM_none, "A",
     "end_turn"},
    {&llm_openai, &form, OPENAI(CONTENT("{\\\"first\\\":\\\"A\\\"}"), "stop"), LLM_malformed, NULL,
     NULL},
    {&llm_openai, &form, OPENAI(CONTENT("{\\\"first\\\":"), "length"), LLM_too_long, NULL, NULL},
    {&llm_openai, &form, OPENAI(CONTENT("Of course!"), "stop"), LLM_malformed, NULL, NULL},
    {&llm_openai, &form, OPENAI("{\"content\":\"\"}", "stop"), LLM_empty, NULL, NULL},
    {&llm_openai, &form, OPENAI("{\"refusal\":\"I won't\"}", "stop"), LLM_refusal, NULL, NULL},
};

static void check_answer(size_t i)
{
    const struct answer *answer = &answers[i];

    read_anew(answer->form);
    answer->protocol->answer(&reading, str_of(answer->body));
    cr_assert_eq(reading.trouble, answer->trouble, "answer %zu: %s (%s)", i,
                 llm_trouble_text(reading.trouble), reading.why);
    if (answer->trouble != LLM_none)
        return;
    cr_assert(reading.ended);
    cr_assert_str_eq(reading.stop_reason, answer->stop, "answer %zu", i);
    if (answer->form != NULL)
        cr_assert(str_is(reading.values[0], answer->text), "answer %zu", i);
    else
        cr_assert(str_is(buffer_str(&reading.text), answer->text), "answer %zu", i);
}

Test(llm_protocol, whole_answers)
{
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++)
        check_answer(i);
}

Test(llm_protocol, the_first_of_two_forms_counts)
{
    read_anew(&form);
    llm_anthropic.answer(&reading,
                         STR(ANTHROPIC(TOOL("{\"first\":\"A\",\"second\":\"B\"}") "," TOOL(
                                           "{\"first\":\"C\",\"second\":\"D\"}"),
                                       "tool_use")));
    cr_assert_eq(reading.trouble, LLM_none);
    cr_assert(str_is(reading.values[0], "A") && str_is(reading.values[1], "B"));
}

Test(llm_protocol, a_form_is_bounded)
{
    struct buffer body;

    read_anew(&form);
    buffer_init(&body, &arena, 8 << 20);
    buffer_add_text(&body, "{\"content\":[{\"type\":\"tool_use\",\"name\":\"give_parts\",\"input\":"
                           "{\"second\":\"B\",\"first\":\"");
    for (size_t i = 0; i < (1 << 20); i++)
        buffer_add_char(&body, 'x');
    buffer_add_text(&body, "\"}}],\"stop_reason\":\"tool_use\"}");
    llm_anthropic.answer(&reading, buffer_str(&body));
    cr_assert_eq(reading.trouble, LLM_malformed);
    cr_assert_str_eq(reading.why, "it is too large");
}

/* ---- events ---- */

struct stream {
    const struct llm_protocol *protocol;
    const char *events[6][2]; /* name and data */
    enum llm_trouble trouble;
    const char *text, *stop;
    bool ended;
};

#define DELTA(text)                                                                                \
    "{\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"" text "\"}}"
#define STOP(reason) "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"" reason "\"}}"
#define ERROR(type) "{\"type\":\"error\",\"error\":{\"type\":\"" type "\",\"message\":\"M\"}}"
#define CHOICE(delta, stop) "{\"choices\":[{\"delta\":" delta ",\"finish_reason\":" stop "}]}"

static const struct stream streams[] = {
    {&llm_anthropic,
     {{"message_start", "{\"type\":\"message_start\"}"},
      {"content_block_delta", DELTA("a")},
      {"content_block_delta", DELTA("b")},
      {"message_delta", STOP("end_turn")},
      {"message_stop", "{\"type\":\"message_stop\"}"},
      {"content_block_delta", DELTA("late")}},
     LLM_none,
     "ab",
     "end_turn",
     true},
    {&llm_anthropic,
     {{"ping", "{\"type\":\"ping\"}"},
      {"ping", "no JSON"},
      {"news_of_tomorrow", "{{{"},
      {"news_of_tomorrow", DELTA("no")},
      {"", DELTA("a")},
      {"content_block_delta", "{\"type\":\"content_block_delta\",\"delta\":{\"type\":\"input_json_"
                              "delta\",\"partial_json\":\"{\"}}"}},
     LLM_none,
     "a",
     "",
     false},
    {&llm_anthropic, {{"message_delta", STOP("refusal")}}, LLM_refusal, "", "refusal", false},
    {&llm_anthropic, {{"message_delta", STOP("max_tokens")}}, LLM_none, "", "max_tokens", false},
    {&llm_anthropic, {{"error", ERROR("overloaded_error")}}, LLM_overloaded, "", "", false},
    {&llm_anthropic, {{"error", ERROR("api_error")}}, LLM_overloaded, "", "", false},
    {&llm_anthropic, {{"error", ERROR("of_tomorrow")}}, LLM_overloaded, "", "", false},
    {&llm_anthropic, {{"error", ERROR("rate_limit_error")}}, LLM_limited, "", "", false},
    {&llm_anthropic, {{"error", ERROR("authentication_error")}}, LLM_refused_key, "", "", false},
    {&llm_anthropic, {{"error", ERROR("permission_error")}}, LLM_refused_key, "", "", false},
    {&llm_anthropic, {{"error", ERROR("invalid_request_error")}}, LLM_rejected, "", "", false},
    {&llm_anthropic,
     {{"", DELTA("a")}, {"error", ERROR("x")}, {"", DELTA("b")}},
     LLM_overloaded,
     "a",
     "",
     false},
    {&llm_anthropic, {{"message_delta", "{"}}, LLM_malformed, "", "", false},
    {&llm_anthropic, {{"", DELTA("\\u0000")}}, LLM_malformed, "", "", false},
    {&llm_anthropic,
     {{"content_block_delta", "7"}, {"message_delta", "[]"}},
     LLM_none,
     "",
     "",
     false},

    {&llm_openai,
     {{"", CHOICE("{\"role\":\"assistant\",\"content\":\"\"}", "null")},
      {"", CHOICE("{\"content\":\"a\"}", "null")},
      {"", CHOICE("{\"content\":\"b\"}", "null")},
      {"", CHOICE("{}", "\"stop\"")},
      {"", "{\"choices\":[],\"usage\":{\"total_tokens\":3}}"},
      {"", "[DONE]"}},
     LLM_none,
     "ab",
     "end_turn",
     true},
    {&llm_openai,
     {{"unknown", "{{{"}, {"", CHOICE("{\"content\":\"a\"}", "\"length\"")}},
     LLM_none,
     "a",
     "max_tokens",
     false},
    {&llm_openai, {{"", CHOICE("{}", "\"content_filter\"")}}, LLM_refusal, "", "refusal", false},
    {&llm_openai, {{"", CHOICE("{\"refusal\":\"No.\"}", "null")}}, LLM_refusal, "", "", false},
    {&llm_openai, {{"", "{\"error\":{\"message\":\"M\"}}"}}, LLM_overloaded, "", "", false},
    {&llm_openai, {{"error", "{\"error\":\"M\"}"}}, LLM_overloaded, "", "", false},
    {&llm_openai, {{"", "{\"error\":null,\"choices\":[]}"}}, LLM_none, "", "", false},
    {&llm_openai, {{"", "[DONE"}}, LLM_malformed, "", "", false},
    {&llm_openai, {{"", "{}"}, {"", "null"}, {"", "{\"choices\":{}}"}}, LLM_none, "", "", false},
};

Test(llm_protocol, events)
{
    for (size_t i = 0; i < sizeof(streams) / sizeof(streams[0]); i++) {
        const struct stream *stream = &streams[i];
        bool more = true;

        read_anew(NULL);
        for (size_t at = 0; at < 6 && stream->events[at][0] != NULL && more; at++)
            more = stream->protocol->event(&reading, stream->events[at][0],
                                           str_of(stream->events[at][1]));
        cr_assert_eq(reading.trouble, stream->trouble, "stream %zu: %s (%s)", i,
                     llm_trouble_text(reading.trouble), reading.why);
        cr_assert(str_is(buffer_str(&reading.text), stream->text), "stream %zu", i);
        cr_assert_str_eq(reading.stop_reason, stream->stop, "stream %zu", i);
        cr_assert_eq(reading.ended, stream->ended, "stream %zu", i);
        cr_assert_eq(more, stream->trouble == LLM_none && !stream->ended, "stream %zu", i);
    }
}

Test(llm_protocol, all_text_together_is_bounded)
{
    static char event[64 * 1024 + 128];
    size_t count = 0;

    snprintf(event, sizeof(event), CHOICE("{\"content\":\"%065000d\"}", "null"), 7);
    while (count < 100 && llm_openai.event(&reading, "", str_of(event))) {
        reading.text.len = 0; /* taken */
        count++;
    }
    cr_assert_eq(reading.trouble, LLM_malformed);
    cr_assert_eq(count, 1024 * 1024 / 65000);
}

/* ---- errors ---- */

Test(llm_protocol, errors_are_told_apart)
{
    static const struct {
        int status;
        const char *body;
        enum llm_trouble trouble;
        const char *why;
    } cases[] = {
        {400, "{\"error\":{\"message\":\"too many tokens\"}}", LLM_rejected,
         "status 400: too many tokens"},
        {404, "{\"error\":\"no such model\"}", LLM_rejected, "status 404: no such model"},
        {401, "{\"error\":{\"message\":\"the key sk-ver****cret\"}}", LLM_refused_key,
         "status 401: "},
        {403, "", LLM_refused_key, "status 403: "},
        {429, "{\"error\":{\"message\":\"slowly\"}}", LLM_limited, "status 429: slowly"},
        {500, "<html>", LLM_overloaded, "status 500: "},
        {503, "{\"error\":7}", LLM_overloaded, "status 503: "},
        {529, "[]", LLM_overloaded, "status 529: "},
        {302, "", LLM_rejected, "status 302: "},
        {400, "{\"error\":{\"message\":\"header x-api-key: sk-very-secret is odd\"}}", LLM_rejected,
         "status 400: (words with the key in them)"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        read_anew(NULL);
        llm_read_error(&reading, cases[i].status, str_of(cases[i].body));
        cr_assert_eq(reading.trouble, cases[i].trouble, "case %zu", i);
        cr_assert_str_eq(reading.why, cases[i].why, "case %zu", i);
    }
}

Test(llm_protocol, a_long_message_is_cut_and_the_first_trouble_stays)
{
    char body[2048];

    snprintf(body, sizeof(body), "{\"error\":{\"message\":\"%01500d\"}}", 7);
    llm_read_error(&reading, 500, str_of(body));
    cr_assert_lt(strlen(reading.why), LLM_WHY_BYTES);
    cr_assert_not(llm_fail(&reading, LLM_cut, STR("later")));
    cr_assert_eq(reading.trouble, LLM_overloaded);
}
