/* The provider; see provider.h. */
#include "provider.h"
#include "base/log.h"
#include "base/time.h"
#include "fetch.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

enum { KEY_BYTES = 4096, FAILURES_MOST = 5 };

#define CLOSED_US TIME_S(10)

static _Noreturn void refuse(const char *what, const char *why)
{
    log_error(&process, "%s: %s", what, why);
    log_close();
    exit(EX_CONFIG);
}

static char *join(const char *a, const char *b)
{
    char *text = NULL;

    if (asprintf(&text, "%s%s", a, b) < 0)
        refuse("the language model", "no memory");
    return text;
}

/* ---- the key ---- */

/* A line of a header must stay one. */
static void check_key(const char *name, const char *key)
{
    for (; *key != '\0'; key++)
        if (*key <= ' ' || *key == 127)
            refuse(name, "the key has a blank or a control character");
}

static void read_key_file(const char *name, const char *path, char key[KEY_BYTES])
{
    FILE *file = fopen(path, "re");
    size_t len;

    if (file == NULL)
        refuse(path, strerror(errno));
    len = fread(key, 1, KEY_BYTES - 1, file);
    (void)fclose(file);
    while (len > 0 && strchr(" \t\r\n", key[len - 1]) != NULL)
        len--;
    key[len] = '\0';
    if (len == 0 || len == KEY_BYTES - 1)
        refuse(name, "the file holds no key");
}

/* The key, given itself or in a file; empty where neither is. */
static void find_key(const char *name, const char *given, const char *path, char key[KEY_BYTES])
{
    key[0] = '\0';
    if (given[0] != '\0') {
        if (strlen(given) >= KEY_BYTES)
            refuse(name, "the key is too long");
        memcpy(key, given, strlen(given) + 1);
    } else if (path[0] != '\0') {
        read_key_file(name, path, key);
    }
    check_key(name, key);
}

/* ---- which one ---- */

/* Without a user's name and password before the host. */
static const char *shown_url(const char *url)
{
    const char *host = strstr(url, "//") + 2;
    const char *at = memrchr(host, '@', strcspn(host, "/?#"));

    return at != NULL ? at + 1 : host;
}

static void set_url(struct provider *provider, const char *name, const char *base)
{
    char *text = join(base, "");
    size_t len = strlen(text);

    if (strncmp(text, "http://", 7) != 0 && strncmp(text, "https://", 8) != 0)
        refuse(name, "an address begins with http:// or https://");
    if (!fetch_knows_url(base))
        refuse(name, "this is no address");
    while (len > 0 && text[len - 1] == '/')
        text[--len] = '\0';
    provider->url = join(text, provider->protocol->path);
    free(text);
}

static void choose_anthropic(struct provider *provider, const struct llm_options *options,
                             const char *key)
{
    if (key[0] == '\0')
        refuse("LECTERN_LLM=anthropic", "ANTHROPIC_API_KEY is not set");
    provider->protocol = &llm_anthropic;
    provider->model = options->anthropic_model;
    provider->headers[0] = join("Content-Type: application/json", "");
    provider->headers[1] = join("anthropic-version: 2023-06-01", "");
    provider->headers[2] = join("x-api-key: ", key);
    provider->key = provider->headers[2] + strlen("x-api-key: ");
    set_url(provider, "ANTHROPIC_BASE_URL", options->anthropic_url);
}

static void choose_openai(struct provider *provider, const struct llm_options *options,
                          const char *key)
{
    provider->protocol = strncmp(options->openai_url, "https://api.openai.com/", 23) == 0
                             ? &llm_openai_itself
                             : &llm_openai;
    provider->model = options->openai_model;
    provider->headers[0] = join("Content-Type: application/json", "");
    if (key[0] != '\0') {
        provider->headers[1] = join("Authorization: Bearer ", key);
        provider->key = provider->headers[1] + strlen("Authorization: Bearer ");
    }
    set_url(provider, "OPENAI_BASE_URL", options->openai_url);
}

/* A key is looked for where its provider may be the one. */
static void choose(struct provider *provider, const struct llm_options *options)
{
    char key[KEY_BYTES];
    bool any = strcmp(options->llm, "auto") == 0;
    bool anthropic = any || strcmp(options->llm, "anthropic") == 0;

    if (anthropic)
        find_key("ANTHROPIC_API_KEY", options->anthropic_key, options->anthropic_key_file, key);
    if (anthropic && (!any || key[0] != '\0')) {
        choose_anthropic(provider, options, key);
    } else {
        find_key("OPENAI_API_KEY", options->openai_key, options->openai_key_file, key);
        if (!any || key[0] != '\0')
            choose_openai(provider, options, key);
    }
    explicit_bzero(key, sizeof(key));
}

/* A file that is missing would be noticed by the first question only. */
static void check_authorities(const char *path)
{
    if (path[0] != '\0' && access(path, R_OK) != 0)
        refuse(path, strerror(errno));
}

void provider_open(struct provider *provider, const struct llm_options *options)
{
    check_authorities(options->llm_ca_file);
    *provider = (struct provider){.first_token_us = options->llm_first_token,
                                  .next_token_us = options->llm_next_token,
                                  .most = (unsigned)options->llm_calls};
    if (strcmp(options->llm, "none") != 0)
        choose(provider, options);
    if (provider->protocol != NULL)
        log_info(&process, "asks %s of %s at %s", provider->model, provider->protocol->name,
                 shown_url(provider->url));
    else
        log_info(&process, "asks no language model");
}

void provider_close(struct provider *provider)
{
    free(provider->url);
    for (size_t i = 0; i < sizeof(provider->headers) / sizeof(provider->headers[0]); i++)
        free(provider->headers[i]);
    *provider = (struct provider){.protocol = NULL};
}

/* ---- the breaker ---- */

static bool is_doubtful(const struct provider *provider)
{
    return provider->failures >= FAILURES_MOST;
}

bool provider_may_begin(const struct provider *provider)
{
    return provider->asking < provider->most &&
           !(is_doubtful(provider) && time_now_us() < provider->closed_until_us);
}

bool provider_begin(struct provider *provider)
{
    if (!provider_may_begin(provider))
        return false;
    if (is_doubtful(provider))
        provider->closed_until_us = time_now_us() + CLOSED_US; /* this one tries, for all */
    provider->asking++;
    return true;
}

void provider_end(struct provider *provider, bool known, bool blame)
{
    provider->asking--;
    if (!known)
        return;
    if (!blame) {
        if (provider->failures >= FAILURES_MOST)
            log_info(&process, "the language model answers again");
        provider->failures = 0;
        return;
    }
    provider->closed_until_us = time_now_us() + CLOSED_US;
    if (++provider->failures == FAILURES_MOST)
        log_warn(&process, "the language model failed %u times in a row: it is left alone for 10 s",
                 provider->failures);
}
