/* `lectern import-bible`: reads a Bible module into the database. */
#include "books.h"
#include "cli.h"
#include "database.h"
#include "osis.h"
#include "store.h"
#include "sword.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

enum { CODE_MAX = 10, NAME_MAX_BYTES = 200 };

static const char help[] =
    "usage: lectern import-bible sword MODULE --code CODE [--name NAME] [--pro]\n"
    "\n"
    "Reads the 66 books of an OSIS Bible module of SWORD and stores them as one translation, in "
    "place of what was imported\n"
    "under the same code before. It is one transaction: a broken module changes nothing.\n"
    "\n"
    "options:\n"
    "  --code CODE   what the translation is asked for by, WEB or KJV: at most 10 letters, digits, "
    "_ or -\n"
    "  --name NAME   what people call it; without it the module's own description\n"
    "  --pro         only for pro users\n"
    "  --help        this page\n"
    "\n"
    "environment:\n"
    "  DATABASE_URL   postgresql://USER@HOST/NAME; without it libpq's PG*\n"
    "  SWORD_PATH     where modules are, beside ~/.sword and /usr/share/sword\n"
    "\n"
    "Exit codes: 0 done, 64 wrong usage, 65 the module is broken or no OSIS Bible, 66 no such "
    "module, 69 no connection,\n"
    "70 the database refused it.\n";

struct arguments {
    const char *module; /* of SWORD */
    const char *code;   /* of the translation */
    const char *name;   /* NULL: the module's description */
    bool pro;           /* for pro users only */
    bool help;          /* show the page and nothing else */
};

static int complain(int code, const char *what, const char *more)
{
    fprintf(stderr, "lectern import-bible: %s%s\n", what, more);
    return code;
}

static bool code_is_valid(const char *code)
{
    size_t len = strlen(code);
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";

    return len > 0 && len <= CODE_MAX && strspn(code, allowed) == len;
}

static int read_options(int argc, char **argv, struct arguments *arguments)
{
    static const struct option options[] = {{"code", required_argument, NULL, 'c'},
                                            {"name", required_argument, NULL, 'n'},
                                            {"pro", no_argument, NULL, 'p'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    int option;

    optind = 1;
    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (option == 'c')
            arguments->code = optarg;
        else if (option == 'n')
            arguments->name = optarg;
        else if (option == 'p')
            arguments->pro = true;
        else if (option == 'h')
            arguments->help = true;
        else
            return EX_USAGE;
    }
    return EX_OK;
}

static int read_arguments(int argc, char **argv, struct arguments *arguments)
{
    int code = read_options(argc, argv, arguments);

    if (code != EX_OK || arguments->help)
        return code;
    if (argc - optind != 2)
        return complain(EX_USAGE, "a kind of source and a module are needed: sword MODULE", "");
    if (strcmp(argv[optind], "sword") != 0)
        return complain(EX_USAGE, "the only kind of source is `sword`, not ", argv[optind]);
    arguments->module = argv[optind + 1];
    if (!sword_name_is_valid(arguments->module))
        return complain(EX_USAGE, "no module can be named ", arguments->module);
    if (arguments->code == NULL || !code_is_valid(arguments->code))
        return complain(EX_USAGE, "--code is needed: at most 10 letters, digits, _ or -", "");
    if (arguments->name != NULL &&
        (arguments->name[0] == '\0' || strlen(arguments->name) > NAME_MAX_BYTES))
        return complain(EX_USAGE, "--name is empty or too long", "");
    return EX_OK;
}

/* On a terminal one line that changes, else a line a book. */
static void book_done(void *data, int book, int chapters, int verses)
{
    const bool *terminal = data;

    fprintf(stderr,
            *terminal ? "\r\033[K%2d/%d %s: %d chapters, %d verses"
                      : "%2d/%d %s: %d chapters, %d verses\n",
            book, BOOK_COUNT, book_at(book)->name, chapters, verses);
}

static int read_module(const char *module, struct bible *bible)
{
    bool terminal = isatty(STDERR_FILENO) == 1;
    char message[SWORD_MESSAGE_BYTES], place[300];
    struct bible_error error;
    struct buffer text;
    int code = EX_OK;

    buffer_init(&text, NULL, SWORD_MAX_BYTES);
    if (sword_export(module, &text, message) != 0) {
        code = complain(EX_NOINPUT, message, "");
    } else if (osis_read(buffer_str(&text), bible, book_done, &terminal, &error) != 0) {
        bible_error_format(&error, place, sizeof(place));
        fprintf(stderr, "%slectern import-bible: %s: %s\n", terminal ? "\r\033[K" : "", module,
                place);
        code = EX_DATAERR;
    } else if (terminal) {
        fputs("\r\033[K", stderr);
    }
    buffer_free(&text);
    return code;
}

static int store(const struct translation *translation, const struct bible *bible)
{
    char message[STORE_MESSAGE_BYTES];
    int code = EX_OK;
    PGconn *conn = cli_connect("import-bible", &code);

    if (conn == NULL)
        return code;
    if (bible_store(conn, translation, bible, message) != 0)
        code = complain(EX_SOFTWARE, message, "");
    PQfinish(conn);
    return code;
}

static int import(const struct arguments *arguments, const struct sword_module *module)
{
    char source[SWORD_MODULE_MAX + 64];
    struct translation translation = {.code = arguments->code,
                                      .name = arguments->name,
                                      .source = source,
                                      .requires_pro = arguments->pro};
    struct bible bible;
    int code;

    if (translation.name == NULL)
        translation.name = module->description[0] != '\0' ? module->description : arguments->code;
    snprintf(source, sizeof(source), "sword:%s%s%s", arguments->module,
             module->version[0] != '\0' ? " " : "", module->version);
    bible_init(&bible);
    code = read_module(arguments->module, &bible);
    if (code == EX_OK)
        code = store(&translation, &bible);
    if (code == EX_OK)
        printf("%s, %s: %zu verses in %zu chapters\n", translation.code, translation.name,
               bible.verse_count, bible.chapter_count);
    bible_free(&bible);
    return code;
}

int cli_import_bible(int argc, char **argv)
{
    struct arguments arguments = {0};
    struct sword_module module;
    int code = read_arguments(argc, argv, &arguments);

    if (arguments.help)
        fputs(help, stdout);
    if (code != EX_OK || arguments.help)
        return code;
    if (sword_find(arguments.module, &module) && module.source_type[0] != '\0' &&
        strcasecmp(module.source_type, "OSIS") != 0)
        return complain(EX_DATAERR, "the module's markup is not OSIS but ", module.source_type);
    return import(&arguments, &module);
}
