"""Four of Lectern's routes as a service of FastAPI, SQLAlchemy's AsyncSession and asyncpg: what benchmarks compare with.

    DATABASE_URL=postgresql+asyncpg://… BOOKS=books.json uvicorn fastapi_peer:app

Written as its users would and as its documentation says: models and sessions, a dependency for the session and the user,
answers by models; one statement a route, as in Lectern, and chapters kept in memory. No middleware, no log of requests,
none of Lectern's security headers.
"""

import datetime
import json
import os
import uuid
from typing import Any, Optional

from fastapi import Cookie, Depends, FastAPI, HTTPException, Query, Response
from pydantic import BaseModel
from sqlalchemy import BigInteger, Boolean, Column, DateTime, ForeignKey, Integer, SmallInteger, String, Text
from sqlalchemy import and_, func, select
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import declarative_base, sessionmaker

COOKIE, DAILY_LIMIT = "verse_user_id", 10
EPOCH = datetime.datetime.fromtimestamp(0, datetime.timezone.utc)
MILLISECOND = datetime.timedelta(milliseconds=1)

with open(os.environ["BOOKS"], encoding="utf-8") as file:
    BOOKS = json.load(file)  # name or id in small letters: number

engine = create_async_engine(os.environ["DATABASE_URL"], pool_size=int(os.environ.get("POOL", 20)), max_overflow=0)
Session = sessionmaker(engine, class_=AsyncSession, expire_on_commit=False)
Base = declarative_base()
app = FastAPI()


# ---- tables ----


class User(Base):
    __tablename__ = "users"
    __mapper_args__ = {"eager_defaults": True}
    id = Column(Integer, primary_key=True)
    anonymous_id = Column(String(36))
    created_at = Column(DateTime(timezone=True), server_default=func.now())
    device_count = Column(Integer, default=1)
    pro_subscription = Column(Boolean, default=False)


class Usage(Base):
    __tablename__ = "usage_tracking"
    id = Column(Integer, primary_key=True)
    user_id = Column(ForeignKey("users.id"))
    date = Column(DateTime(timezone=True))
    llm_calls = Column(Integer)
    reserved = Column(ARRAY(DateTime(timezone=True)))


class Insight(Base):
    __tablename__ = "saved_insights"
    id = Column(Integer, primary_key=True)
    passage_reference = Column(String(100))
    passage_text = Column(Text)
    historical_context = Column(Text)
    theological_significance = Column(Text)
    practical_application = Column(Text)


class UserInsight(Base):
    __tablename__ = "user_insights"
    user_id = Column(ForeignKey("users.id"), primary_key=True)
    insight_id = Column(ForeignKey("saved_insights.id"), primary_key=True)
    created_at = Column(DateTime(timezone=True))


class Chat(Base):
    __tablename__ = "standalone_chats"
    id = Column(Integer, primary_key=True)
    user_id = Column(ForeignKey("users.id"))
    title = Column(String(200))
    passage_reference = Column(String(100))
    passage_text = Column(Text)
    created_at = Column(DateTime(timezone=True))
    updated_at = Column(DateTime(timezone=True))


class Translation(Base):
    __tablename__ = "bible_translations"
    id = Column(Integer, primary_key=True)
    code = Column(String(10))
    version = Column(BigInteger)


class Chapter(Base):
    __tablename__ = "bible_chapters"
    translation_id = Column(ForeignKey("bible_translations.id"), primary_key=True)
    book = Column(SmallInteger, primary_key=True)
    chapter = Column(SmallInteger, primary_key=True)
    content = Column(JSONB)


class Verse(Base):
    __tablename__ = "bible_verses"
    translation_id = Column(ForeignKey("bible_translations.id"), primary_key=True)
    book = Column(SmallInteger, primary_key=True)
    chapter = Column(SmallInteger, primary_key=True)
    verse = Column(SmallInteger, primary_key=True)
    text = Column(Text)


class SavedPassage(Base):
    __tablename__ = "saved_passages"
    id = Column(Integer, primary_key=True)
    reference = Column(String(100))
    book = Column(String(50))
    chapter = Column(Integer)
    verse_start = Column(Integer)
    verse_end = Column(Integer)
    translation = Column(String(10))
    text = Column(Text)


# ---- answers ----


class UsageAnswer(BaseModel):
    is_pro: bool
    daily_limit: int
    calls_today: int
    remaining: int


class SessionAnswer(BaseModel):
    anonymous_id: str
    created_at: int
    usage: UsageAnswer


class Parts(BaseModel):
    historical_context: str
    theological_significance: str
    practical_application: str


class InsightAnswer(BaseModel):
    id: str
    reference: str
    text: str
    insight: Parts
    timestamp: int


class ChatAnswer(BaseModel):
    id: int
    title: Optional[str]
    passage_reference: Optional[str]
    passage_text: Optional[str]
    created_at: int
    updated_at: int


class VerseAnswer(BaseModel):
    book: str
    chapter: int
    verse: int
    text: str
    translation: str
    text_parts: Optional[list[Any]]


class PassageAnswer(BaseModel):
    reference: str
    verses: list[VerseAnswer]
    translation: str


# ---- who asks ----


async def get_db():
    async with Session() as session:
        yield session


async def make_user(db: AsyncSession, response: Response):
    user = User(anonymous_id=str(uuid.uuid4()))
    db.add(user)
    await db.commit()
    response.set_cookie(COOKIE, user.anonymous_id, max_age=315360000, httponly=True, samesite="lax")
    return user


def milliseconds(time):
    return (time - EPOCH) // MILLISECOND


# ---- GET /user/session ----


@app.get("/api/user/session", response_model=SessionAnswer)
async def session(response: Response, verse_user_id: Optional[str] = Cookie(None), db: AsyncSession = Depends(get_db)):
    today = func.date_trunc("day", func.now(), "UTC")
    found = (await db.execute(
        select(User, Usage.llm_calls, Usage.reserved, func.now().label("now"))
        .outerjoin(Usage, and_(Usage.user_id == User.id, Usage.date == today))
        .where(User.id == func.current_user_id(verse_user_id)))).first()
    user, calls, reserved, now = found or (await make_user(db, response), 0, [], None)
    calls = (calls or 0) + sum(expiry > now for expiry in reserved or [])
    pro = user.pro_subscription
    if found and user.anonymous_id != verse_user_id:
        response.set_cookie(COOKIE, user.anonymous_id, max_age=315360000, httponly=True, samesite="lax")
    return SessionAnswer(
        anonymous_id=user.anonymous_id,
        created_at=milliseconds(user.created_at),
        usage=UsageAnswer(is_pro=pro, daily_limit=0 if pro else DAILY_LIMIT, calls_today=0 if pro else calls,
                          remaining=-1 if pro else max(DAILY_LIMIT - calls, 0)))


# ---- GET /insights/history and /standalone-chat ----


async def list_for(db, user, columns, joined, order, limit):
    """Rows of a user's list; he is found by the same statement. None where there is no such user."""
    me = select(func.current_user_id(user).label("id")).cte("me").prefix_with("materialized")
    page = joined(select(*columns), me).order_by(*order).limit(limit).subquery()
    rows = (await db.execute(select(me.c.id, page).select_from(me.outerjoin(page, page.c.user_id == me.c.id)))).all()
    return None if rows[0][0] is None else [row for row in rows if row.user_id is not None]


@app.get("/api/insights/history", response_model=list[InsightAnswer])
async def insights(response: Response, limit: int = Query(50, ge=0, le=500),
                   verse_user_id: Optional[str] = Cookie(None), db: AsyncSession = Depends(get_db)):
    rows = await list_for(
        db, verse_user_id,
        (UserInsight.user_id, UserInsight.created_at, Insight.id.label("insight_id"), Insight.passage_reference,
         Insight.passage_text, Insight.historical_context, Insight.theological_significance,
         Insight.practical_application),
        lambda query, me: query.join(Insight, Insight.id == UserInsight.insight_id).where(
            UserInsight.user_id == select(me.c.id).scalar_subquery()),
        (UserInsight.created_at.desc(), UserInsight.insight_id.desc()), limit)
    if rows is None:
        await make_user(db, response)
    return [InsightAnswer(id=str(row.insight_id), reference=row.passage_reference, text=row.passage_text,
                          insight=Parts(historical_context=row.historical_context,
                                        theological_significance=row.theological_significance,
                                        practical_application=row.practical_application),
                          timestamp=milliseconds(row.created_at))
            for row in rows or []]


@app.get("/api/standalone-chat", response_model=list[ChatAnswer])
async def chats(response: Response, limit: int = Query(50, ge=0, le=500),
                verse_user_id: Optional[str] = Cookie(None), db: AsyncSession = Depends(get_db)):
    rows = await list_for(
        db, verse_user_id,
        (Chat.user_id, Chat.id.label("chat_id"), Chat.title, Chat.passage_reference, Chat.passage_text,
         Chat.created_at, Chat.updated_at),
        lambda query, me: query.where(Chat.user_id == select(me.c.id).scalar_subquery()),
        (Chat.updated_at.desc(), Chat.id.desc()), limit)
    if rows is None:
        await make_user(db, response)
    return [ChatAnswer(id=row.chat_id, title=row.title, passage_reference=row.passage_reference,
                       passage_text=row.passage_text, created_at=milliseconds(row.created_at),
                       updated_at=milliseconds(row.updated_at))
            for row in rows or []]


# ---- GET /passage ----

chapters = {}  # (code, book, chapter): (number, text, parts) of each verse


async def chapter_of(db, code, book, chapter):
    key = (code, book, chapter)
    if key not in chapters:
        where = lambda table: and_(Translation.code == code, table.translation_id == Translation.id,
                                   table.book == book, table.chapter == chapter)
        items = (await db.execute(select(Chapter.content).where(where(Chapter)))).scalar() or []
        texts = (await db.execute(select(Verse.verse, Verse.text).where(where(Verse)).order_by(Verse.verse))).all()
        parts = {item["number"]: item["content"] for item in items if item["type"] == "verse"}
        chapters[key] = [(number, text, parts.get(number)) for number, text in texts]
    return chapters[key]


@app.get("/api/passage", response_model=PassageAnswer)
async def passage(book: str, chapter: int, verse_start: int, verse_end: Optional[int] = None, translation: str = "WEB",
                  save: bool = False, db: AsyncSession = Depends(get_db)):
    last = verse_start if verse_end is None else verse_end
    verses = [verse for verse in await chapter_of(db, translation, BOOKS.get(book.lower()), chapter)
              if verse_start <= verse[0] <= last]
    if not verses:
        raise HTTPException(404, "Passage not found")
    reference = f"{book} {chapter}:{verse_start}" + (f"-{last}" if last != verse_start else "")
    if save:
        await store(db, reference, book, chapter, verses, translation)
    return PassageAnswer(reference=reference, translation=translation,
                         verses=[VerseAnswer(book=book, chapter=chapter, verse=number, text=text,
                                             translation=translation, text_parts=parts)
                                 for number, text, parts in verses])


async def store(db, reference, book, chapter, verses, translation):
    """Stored once, also when two ask at one time."""
    text = " ".join(verse[1] for verse in verses)
    await db.execute(select(func.pg_advisory_xact_lock(func.hashtextextended("saved_passages:" + reference, 0))))
    known = (await db.execute(
        select(SavedPassage.id).where(SavedPassage.reference == reference, SavedPassage.translation == translation,
                                      SavedPassage.text == text).limit(1))).scalar()
    if known is None:
        db.add(SavedPassage(reference=reference, book=book, chapter=chapter, verse_start=verses[0][0],
                            verse_end=verses[-1][0] if len(verses) > 1 else None, translation=translation, text=text))
    await db.commit()
