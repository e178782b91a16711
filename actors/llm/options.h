/* Which language model is asked, a row each. Every actor reads them; the ones that ask use them. */
#pragma once

#include "base/option.h"

#define LLM_OPTIONS(OPTION)                                                                        \
    OPTION(llm, choice, "LECTERN_LLM", "auto", 0, 0, fixed,                                        \
           "protocol of the language model's provider; auto: the one whose key is set (one of: "   \
           "auto anthropic openai none)")                                                          \
    OPTION(anthropic_key, text, "ANTHROPIC_API_KEY", "", 0, 0, fixed, "key of Anthropic's API")    \
    OPTION(anthropic_key_file, text, "ANTHROPIC_API_KEY_FILE", "", 0, 0, fixed,                    \
           "file that holds that key")                                                             \
    OPTION(anthropic_url, text, "ANTHROPIC_BASE_URL", "https://api.anthropic.com", 0, 0, fixed,    \
           "where Anthropic's API is, without /v1")                                                \
    OPTION(anthropic_model, text, "ANTHROPIC_MODEL", "claude-sonnet-4-5", 0, 0, fixed,             \
           "model that is asked there")                                                            \
    OPTION(openai_key, text, "OPENAI_API_KEY", "", 0, 0, fixed,                                    \
           "key of an API like OpenAI's; a local server may need none")                            \
    OPTION(openai_key_file, text, "OPENAI_API_KEY_FILE", "", 0, 0, fixed,                          \
           "file that holds that key")                                                             \
    OPTION(openai_url, text, "OPENAI_BASE_URL", "https://api.openai.com/v1", 0, 0, fixed,          \
           "where such an API is, with /v1")                                                       \
    OPTION(openai_model, text, "OPENAI_MODEL", "gpt-4o-mini", 0, 0, fixed,                         \
           "model that is asked there")                                                            \
    OPTION(llm_ca_file, text, "LECTERN_LLM_CA_FILE", "", 0, 0, fixed,                              \
           "certificates (PEM) of the authorities by which the provider is known; empty: the "     \
           "system's")                                                                             \
    OPTION(max_tokens_insights, number, "MAX_TOKENS_INSIGHTS", "2000", 1, 1000000, fixed,          \
           "most tokens of an insight")                                                            \
    OPTION(max_tokens_definition, number, "MAX_TOKENS_DEFINITION", "1000", 1, 1000000, fixed,      \
           "most tokens of a definition")                                                          \
    OPTION(max_tokens_chat, number, "MAX_TOKENS_CHAT", "2000", 1, 1000000, fixed,                  \
           "most tokens of a chat's answer")                                                       \
    OPTION(history_chars, number, "CONVERSATION_HISTORY_CHAR_LIMIT", "24000", 1, 10000000, fixed,  \
           "characters of a conversation that the model is told again; what is older is "          \
           "summarized")                                                                           \
    OPTION(llm_calls, number, "LECTERN_LLM_CALLS", "512", 1, 10000, fixed,                         \
           "questions to the model at one time; more are answered 503")                            \
    OPTION(llm_first_token, duration, "LECTERN_LLM_FIRST_TOKEN", "30s", 1000, 600000000, fixed,    \
           "time for a streamed answer to begin")                                                  \
    OPTION(llm_next_token, duration, "LECTERN_LLM_NEXT_TOKEN", "20s", 1000, 600000000, fixed,      \
           "time between two parts of a streamed answer")

OPTIONS_STRUCT(llm_options, LLM_OPTIONS);
