-- The text of the Bible, written by importers, a whole translation in one transaction. All tables are new.

-- Grows with each import of any translation; what is served is validated by it.
create sequence bible_version_seq;

create table bible_translations (
    id serial primary key,
    code varchar(10) not null unique,
    name text not null,
    requires_pro boolean not null default false,
    source text not null,
    version bigint not null default nextval('bible_version_seq'),
    imported_at timestamptz not null default now()
);
alter sequence bible_version_seq owned by bible_translations.version;

-- A chapter as it is served: `content` is the array of its items, `footnotes` the texts that `noteId`s in it mean.
create table bible_chapters (
    translation_id integer not null references bible_translations on delete cascade,
    book smallint not null check (book between 1 and 66),
    chapter smallint not null check (chapter > 0),
    content jsonb not null,
    footnotes jsonb not null default '[]',
    primary key (translation_id, book, chapter)
);

-- The plain text, a row a verse; a verse that a translation leaves empty has none.
create table bible_verses (
    translation_id integer not null references bible_translations on delete cascade,
    book smallint not null check (book between 1 and 66),
    chapter smallint not null check (chapter > 0),
    verse smallint not null check (verse > 0),
    text text not null,
    primary key (translation_id, book, chapter, verse)
);
