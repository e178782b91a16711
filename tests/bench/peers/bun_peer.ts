// Four of Lectern's routes as a service of Bun and Bun.sql: what benchmarks compare with.
//
//   DATABASE=… DATABASE_USER=… SOCKET=/…/.s.PGSQL.5432 BOOKS=books.json PORT=… bun bun_peer.ts
//
// Written to be fast: prepared statements, which Bun.sql pipelines on its connections; one statement a route, as in
// Lectern, and chapters kept in memory. No log of requests, none of Lectern's security headers.
import { SQL } from "bun";

const env = process.env;
const DAILY_LIMIT = 10;
const BOOKS: Record<string, number> = await Bun.file(env.BOOKS!).json(); // name or id in small letters: number
const sql = connect(Number(env.READS ?? 8)); // reads follow each other on few connections
const writes = connect(Number(env.WRITES ?? 16)); // transactions wait for fsync together on many

function connect(most: number): SQL {
    return new SQL({
        adapter: "postgres", path: env.SOCKET, username: env.DATABASE_USER, database: env.DATABASE, max: most,
        idleTimeout: 0,
    });
}

// ---- who asks ----

function userOf(request: Request): string | null {
    const cookies = request.headers.get("cookie");
    const at = cookies?.indexOf("verse_user_id=") ?? -1;
    if (at < 0) return null;
    const end = cookies!.indexOf(";", at);
    return cookies!.slice(at + 14, end < 0 ? undefined : end);
}

function cookieOf(user: string): ResponseInit {
    return { headers: { "Set-Cookie": `verse_user_id=${user}; Path=/; HttpOnly; SameSite=lax; Max-Age=315360000` } };
}

async function makeUser() {
    const [made] = await sql`insert into users (anonymous_id, device_count, pro_subscription)
        values (gen_random_uuid()::text, 1, false) returning anonymous_id, created_at`;
    return made;
}

async function nothingForNewUser(): Promise<Response> {
    return Response.json([], cookieOf((await makeUser()).anonymous_id));
}

// ---- GET /user/session ----

async function session(request: Request): Promise<Response> {
    const user = userOf(request);
    const [found] = await sql`
        select anonymous_id, users.created_at, pro_subscription, coalesce(llm_calls, 0) as calls,
               case when reserved <> '{}' then
                   (select count(*)::int from unnest(reserved) as expiry where expiry > now())
               else 0 end as reservations
          from users left join usage_tracking on user_id = users.id and date = date_trunc('day', now(), 'UTC')
         where users.id = current_user_id(${user})`;
    const row = found ?? { ...(await makeUser()), pro_subscription: false, calls: 0, reservations: 0 };
    const calls = row.calls + row.reservations, pro = row.pro_subscription;
    return Response.json({
        anonymous_id: row.anonymous_id,
        created_at: row.created_at.getTime(),
        usage: {
            is_pro: pro, daily_limit: pro ? 0 : DAILY_LIMIT, calls_today: pro ? 0 : calls,
            remaining: pro ? -1 : Math.max(DAILY_LIMIT - calls, 0),
        },
    }, row.anonymous_id === user ? undefined : cookieOf(row.anonymous_id));
}

// ---- GET /insights/history and /standalone-chat ----

function limitOf(url: URL): number {
    return Number(url.searchParams.get("limit") ?? 50);
}

async function insights(request: Request): Promise<Response> {
    const rows = await sql`
        with me as materialized (select current_user_id(${userOf(request)}) as id),
             page as (select link.created_at, insight_id, passage_reference, passage_text, historical_context,
                             theological_significance, practical_application
                        from me join user_insights as link on user_id = me.id
                        join saved_insights on saved_insights.id = insight_id
                       order by link.created_at desc, insight_id desc limit ${limitOf(new URL(request.url))})
        select me.id as me, page.* from me left join page on true order by created_at desc, insight_id desc`;
    if (rows[0].me === null) return nothingForNewUser();
    return Response.json(rows[0].insight_id === null ? [] : rows.map((row: any) => ({
        id: String(row.insight_id), reference: row.passage_reference, text: row.passage_text,
        insight: {
            historical_context: row.historical_context, theological_significance: row.theological_significance,
            practical_application: row.practical_application,
        },
        timestamp: row.created_at.getTime(),
    })));
}

async function chats(request: Request): Promise<Response> {
    const rows = await sql`
        with me as materialized (select current_user_id(${userOf(request)}) as id),
             page as (select chat.id as chat_id, title, passage_reference, passage_text, created_at, updated_at
                        from me join standalone_chats as chat on user_id = me.id
                       order by updated_at desc, chat.id desc limit ${limitOf(new URL(request.url))})
        select me.id as me, page.* from me left join page on true order by updated_at desc, chat_id desc`;
    if (rows[0].me === null) return nothingForNewUser();
    return Response.json(rows[0].chat_id === null ? [] : rows.map((row: any) => ({
        id: row.chat_id, title: row.title, passage_reference: row.passage_reference,
        passage_text: row.passage_text, created_at: row.created_at.getTime(), updated_at: row.updated_at.getTime(),
    })));
}

// ---- GET /passage ----

type Verse = { number: number; text: string; parts: unknown };
const chapters = new Map<string, Verse[]>();

async function chapterOf(code: string, book: number, chapter: number): Promise<Verse[]> {
    const key = `${code} ${book} ${chapter}`;
    let verses = chapters.get(key);
    if (verses === undefined) {
        const [[items], texts] = await Promise.all([
            sql`select content from bible_chapters join bible_translations on id = translation_id
                 where code = ${code} and book = ${book} and chapter = ${chapter}`,
            sql`select verse, text from bible_verses join bible_translations on id = translation_id
                 where code = ${code} and book = ${book} and chapter = ${chapter} order by verse`,
        ]);
        const parts = new Map((items?.content ?? []).filter((item: any) => item.type === "verse")
            .map((item: any) => [item.number, item.content]));
        verses = texts.map((row: any) => ({ number: row.verse, text: row.text, parts: parts.get(row.verse) ?? null }));
        chapters.set(key, verses!);
    }
    return verses!;
}

async function passage(request: Request): Promise<Response> {
    const query = new URL(request.url).searchParams;
    const book = query.get("book")!, chapter = Number(query.get("chapter")), first = Number(query.get("verse_start"));
    const last = Number(query.get("verse_end") ?? first), translation = query.get("translation") ?? "WEB";
    const all = await chapterOf(translation, BOOKS[book.toLowerCase()] ?? 0, chapter);
    const verses = all.filter((verse) => verse.number >= first && verse.number <= last);
    if (verses.length === 0) return Response.json({ detail: "Passage not found" }, { status: 404 });
    const reference = `${book} ${chapter}:${first}${last === first ? "" : `-${last}`}`;
    if (query.get("save") === "true") await store(reference, book, chapter, verses, translation);
    return Response.json({
        reference,
        verses: verses.map((verse) => ({
            book, chapter, verse: verse.number, text: verse.text, translation, text_parts: verse.parts,
        })),
        translation,
    });
}

// Stored once, also when two ask at one time.
async function store(reference: string, book: string, chapter: number, verses: Verse[], translation: string) {
    const text = verses.map((verse) => verse.text).join(" ");
    const end = verses.length > 1 ? verses.at(-1)!.number : null;
    await writes.begin((tx) => Promise.all([
        tx`select pg_advisory_xact_lock(hashtextextended('saved_passages:' || ${reference}::text, 0))`,
        tx`insert into saved_passages (reference, book, chapter, verse_start, verse_end, translation, text)
           select ${reference}, ${book}, ${chapter}, ${verses[0].number}, ${end}, ${translation}, ${text}
            where not exists (select from saved_passages where reference = ${reference}
                                 and translation = ${translation} and text = ${text})`,
    ]));
}

// ---- the service ----

Bun.serve({
    hostname: "127.0.0.1",
    port: Number(env.PORT),
    routes: {
        "/api/user/session": { GET: session },
        "/api/insights/history": { GET: insights },
        "/api/standalone-chat": { GET: chats },
        "/api/passage": { GET: passage },
    },
    error: (error) => Response.json({ detail: String(error) }, { status: 500 }),
});
