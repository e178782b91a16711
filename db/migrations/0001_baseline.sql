-- The tables as the service before Lectern made them, with the names and types that databases in use have.
-- A database that has them already is not given this file: it is compared with it, and the file recorded as applied.
-- All tables are new here, so no lock matters.

create table users (
    id serial primary key,
    anonymous_id varchar(36) not null unique,
    created_at timestamptz default now(),
    device_count integer not null default 1,
    pro_subscription boolean not null default false
);

create table saved_passages (
    id serial primary key,
    reference varchar(100) not null,
    book varchar(50) not null,
    chapter integer not null,
    verse_start integer not null,
    verse_end integer,
    translation varchar(10) not null,
    text text not null,
    created_at timestamptz default now(),
    updated_at timestamptz
);
create index ix_saved_passages_reference on saved_passages (reference);

create table saved_insights (
    id serial primary key,
    passage_reference varchar(100) not null,
    passage_text text not null,
    historical_context text not null,
    theological_significance text not null,
    practical_application text not null,
    created_at timestamptz default now(),
    constraint uix_passage_reference_text unique (passage_reference, passage_text)
);
create index idx_passage_text on saved_insights (passage_text);

create table user_insights (
    user_id integer not null references users on delete cascade,
    insight_id integer not null references saved_insights on delete cascade,
    created_at timestamptz default now(),
    primary key (user_id, insight_id)
);
create index idx_user_insights_user_created on user_insights (user_id, created_at);

create table saved_definitions (
    id serial primary key,
    word varchar(100) not null,
    passage_reference varchar(100) not null,
    verse_text text not null,
    definition text not null,
    biblical_usage text not null,
    original_language text not null,
    created_at timestamptz default now(),
    constraint uix_word_reference_verse unique (word, passage_reference, verse_text)
);

create table user_definitions (
    user_id integer not null references users on delete cascade,
    definition_id integer not null references saved_definitions on delete cascade,
    created_at timestamptz default now(),
    primary key (user_id, definition_id)
);
create index idx_user_definitions_user_created on user_definitions (user_id, created_at);

create table chat_messages (
    id serial primary key,
    insight_id integer not null references saved_insights on delete cascade,
    user_id integer not null references users on delete cascade,
    role varchar(20) not null,
    content text not null,
    was_truncated boolean not null default false,
    created_at timestamptz default now()
);
create index idx_chat_messages_user_created on chat_messages (user_id, created_at);
create index idx_chat_messages_insight_user_created on chat_messages (insight_id, user_id, created_at);

create table standalone_chats (
    id serial primary key,
    user_id integer not null references users on delete cascade,
    title varchar(200),
    passage_reference varchar(100),
    passage_text text,
    created_at timestamptz default now(),
    updated_at timestamptz default now()
);
create index idx_standalone_chats_user_updated on standalone_chats (user_id, updated_at);

create table standalone_chat_messages (
    id serial primary key,
    chat_id integer not null references standalone_chats on delete cascade,
    role varchar(20) not null,
    content text not null,
    was_truncated boolean not null default false,
    created_at timestamptz default now()
);
create index idx_standalone_chat_messages_chat on standalone_chat_messages (chat_id);

create table conversation_summaries (
    id serial primary key,
    conversation_type varchar(20) not null,
    conversation_id integer not null,
    summary_text text not null,
    message_count integer not null,
    last_message_id integer,
    created_at timestamptz default now(),
    updated_at timestamptz default now(),
    constraint uix_conversation_summary unique (conversation_type, conversation_id)
);

create table user_devices (
    id serial primary key,
    user_id integer not null references users on delete cascade,
    device_name varchar(100),
    device_type varchar(20),
    user_agent text,
    created_at timestamptz default now(),
    last_active timestamptz default now()
);
create index idx_user_devices_user_active on user_devices (user_id, last_active);

create table device_link_codes (
    id serial primary key,
    code varchar(64) not null unique,
    display_code varchar(20) not null unique,
    source_user_id integer not null references users on delete cascade,
    source_device_id integer references user_devices on delete cascade,
    target_user_id integer references users on delete set null,
    target_device_id integer references user_devices on delete set null,
    created_at timestamptz default now(),
    expires_at timestamptz not null,
    used_at timestamptz,
    status varchar(20) not null
);

create table usage_tracking (
    id serial primary key,
    user_id integer not null references users on delete cascade,
    date timestamptz not null,
    llm_calls integer not null default 0,
    created_at timestamptz default now(),
    updated_at timestamptz default now(),
    constraint uix_user_date unique (user_id, date)
);

-- Vectors of messages, only where the extension is installed in this database.
do $$
begin
    if exists (select from pg_extension where extname = 'vector') then
        alter table chat_messages add column embedding vector(1536);
        alter table standalone_chat_messages add column embedding vector(1536);
    end if;
end
$$;

-- The marker of the service before, at its latest, so that it too can run on this database.
create table alembic_version (
    version_num varchar(32) not null,
    constraint alembic_version_pkc primary key (version_num)
);
insert into alembic_version values ('a3f7c2e9');
