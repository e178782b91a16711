/* The command `lectern`: finds the sub-command's row and runs it.
 *
 * `lectern help X` is `lectern X --help`; without arguments it says what there is. */
#include "cli.h"
#include "contract.h"

#include <stdio.h>
#include <sysexits.h>

struct command {
    const char *name;
    const char *prose;
    int (*run)(int argc, char **argv);
};

#define COMMAND_ROW(function, name, prose) {name, prose, cli_##function},
static const struct command commands[] = {CLI_COMMANDS(COMMAND_ROW)};
enum { COMMAND_COUNT = sizeof(commands) / sizeof(commands[0]) };

bool cli_wants_help(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    }
    return false;
}

static int print_help(void)
{
    printf("usage: lectern COMMAND [ARGUMENT...]\n\n"
           "What is done to a Lectern by hand.\n\ncommands:\n");
    for (int i = 0; i < COMMAND_COUNT; i++)
        printf("  %-13s %s\n", commands[i].name, commands[i].prose);
    printf("  %-13s %s\n", "help COMMAND", "the help of a command, as COMMAND --help");
    printf(
        "\noptions:\n  --help        this page\n  --version     the version\n"
        "\nExit codes are those of sysexits.h: 0 done, 1 the answer was a fault, 64 wrong usage,\n"
        "65 wrong data, 69 nobody there, 75 no answer in time.\n");
    return EX_OK;
}

static int refuse_command(const char *name)
{
    struct nearest nearest = nearest_to(name);

    for (int i = 0; i < COMMAND_COUNT; i++)
        nearest_try(&nearest, commands[i].name);
    nearest_try(&nearest, "help");
    if (nearest.name != NULL)
        fprintf(stderr, "lectern: no command `%s`; did you mean `%s`?\n", name, nearest.name);
    else
        fprintf(stderr, "lectern: no command `%s`; `lectern --help` lists them\n", name);
    return EX_USAGE;
}

static int run_command(int argc, char **argv)
{
    for (int i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(commands[i].name, argv[0]) == 0)
            return commands[i].run(argc, argv);
    }
    return refuse_command(argv[0]);
}

/* `help X` is `X --help`. */
static int run_help(int argc, char **argv)
{
    char help[] = "--help";
    char *arguments[] = {argv[1], help, NULL};

    return argc < 2 ? print_help() : run_command(2, arguments);
}

static bool is_option(const char *argument, const char *option, char letter)
{
    return strcmp(argument, option) == 0 ||
           (argument[0] == '-' && argument[1] == letter && argument[2] == '\0');
}

int main(int argc, char **argv)
{
    contract_open();
    if (argc < 2 || is_option(argv[1], "--help", 'h'))
        return print_help();
    if (is_option(argv[1], "--version", 'V')) {
        printf("lectern %s\n", LECTERN_VERSION);
        return EX_OK;
    }
    if (argv[1][0] == '-') {
        fprintf(stderr, "lectern: no option `%s`; `lectern --help` lists them\n", argv[1]);
        return EX_USAGE;
    }
    if (strcmp(argv[1], "help") == 0)
        return run_help(argc - 1, argv + 1);
    return run_command(argc - 1, argv + 1);
}
