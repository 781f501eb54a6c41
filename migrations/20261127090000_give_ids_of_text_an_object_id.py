"""Give each student whose `_id` is text an ObjectId, by which it can be read and changed.

Documents of the tutorial's first app have a string of 24 hexadecimal digits. It becomes the ObjectId of these digits,
so that no path changes; where another student has that one, it becomes a new ObjectId, and the pair is printed. The
version is kept, and time stamps that are missing are the time at which the id was made. Links to these students are
changed after them, in all collections: until the migration ends, some lead nowhere.

MongoDB cannot change an `_id`: the document is deleted and inserted. In a replica set that is one transaction for each
batch. On a standalone server the document is kept with its pair of ids first, deleted only if it is still equal, and
then inserted. A migration that was interrupted is run again, and goes on there.

The pairs stay in `students_text_ids`. By them backward restores the ids, also of students that were changed since.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import typer
from beanie import Document, free_fall_migration
from bson import DBRef, ObjectId
from pymongo.errors import PyMongoError

from students_api.mongodb.driver import Collection, collection_of, transaction

BATCH = 100
STUDENTS, PAIRS = "students", "students_text_ids"
TEXT = {"_id": {"$type": "string", "$regex": "^[0-9a-fA-F]{24}$"}}
STAMPS = ("created_at", "updated_at")


class Student(Document):
    """The collection as this migration knows it."""

    class Settings:
        name = STUDENTS


class Move(NamedTuple):
    """A document before and after, and the pair of its ids: `_id` is the text, `new` the ObjectId."""

    before: dict[str, Any]
    after: dict[str, Any]
    pair: dict[str, Any]


class Mover:
    """Moves documents to other ids, and links with them."""

    def __init__(self, session: Any) -> None:
        """`session` is within a transaction already where Beanie's own command runs the migration."""
        self.students: Collection = collection_of(Student)
        self.pairs: Collection = self.students.database[PAIRS]
        self.session = session
        self.within = session if session.in_transaction else None
        self.has_transactions = False
        self.size = BATCH

    async def start(self) -> None:
        """Finish what was interrupted on a standalone server."""
        hello = await self.students.database.command("hello")
        self.has_transactions = "setName" in hello or hello.get("msg") == "isdbgrid"
        async for pair in self.pairs.find({"document": {"$exists": True}}, session=self.within):
            ids = {"_id": {"$in": [pair["_id"], pair["new"]]}}
            if not await self.students.find_one(ids, {"_id": True}, session=self.within):
                await self.students.insert_one(pair["document"], session=self.within)
            await self.pairs.update_one({"_id": pair["_id"]}, {"$unset": {"document": ""}}, session=self.within)

    @asynccontextmanager
    async def batch(self) -> AsyncIterator[Any]:
        """The session with a transaction for a batch, or `None` on a standalone server."""
        if self.within or not self.has_transactions:
            yield self.within
        else:
            async with transaction(self.session):
                yield self.session

    async def move(self, moves: list[Move], session: Any) -> None:
        """Delete and insert. A document that another program changes meanwhile stays, for another batch."""
        if session and moves:
            await self.pairs.delete_many({"_id": {"$in": [each.pair["_id"] for each in moves]}}, session=session)
            await self.pairs.insert_many([each.pair for each in moves], session=session)
            await self.students.delete_many({"_id": {"$in": [each.before["_id"] for each in moves]}}, session=session)
            await self.students.insert_many([each.after for each in moves], session=session)
            return
        for before, after, pair in moves:
            await self.pairs.replace_one({"_id": pair["_id"]}, {**pair, "document": after}, upsert=True)
            equal = {"_id": before["_id"], "$expr": {"$eq": ["$$ROOT", {"$literal": before}]}}
            if (await self.students.delete_one(equal)).deleted_count:
                await self.students.insert_one(after)
            await self.pairs.update_one({"_id": pair["_id"]}, {"$unset": {"document": ""}})

    async def forward(self, session: Any) -> int:
        """Give a batch of documents their ObjectIds; how many there were."""
        documents = await self.students.find(TEXT, session=session).limit(self.size).to_list(None)
        wanted = [ObjectId(document["_id"]) for document in documents]
        taken = {
            each["_id"] async for each in self.students.find({"_id": {"$in": wanted}}, {"_id": 1}, session=session)
        }
        moves = list[Move]()
        for document, own in zip(documents, wanted, strict=True):
            given = {stamp: own.generation_time for stamp in STAMPS if document.get(stamp) is None}
            new = ObjectId() if own in taken else own
            taken.add(own)
            pair = {"_id": document["_id"], "new": new, "given": [*given]}
            moves.append(Move(document, {**document, **given, "_id": new}, pair))
        await self.move(moves, session)
        return len(moves)

    async def backward(self, pairs: list[dict[str, Any]], session: Any) -> int:
        """Give a batch of documents their text again, without given time stamps if unchanged; how many there were."""
        texts = {pair["new"]: pair for pair in pairs}
        moves = list[Move]()
        async for document in self.students.find({"_id": {"$in": [*texts]}}, session=session).limit(self.size):
            pair = texts[document["_id"]]
            given = [] if document.get("version") else pair["given"]
            restored = {key: value for key, value in document.items() if key not in given}
            moves.append(Move(document, {**restored, "_id": pair["_id"]}, pair))
        await self.move(moves, session)
        return len(moves)

    async def relink(self, ids: dict[Any, Any]) -> None:
        """Change each link to one of these students, wherever it is nested in a document."""
        database = self.students.database
        names = await database.list_collection_names(filter={"type": "collection"}) if ids else []
        for name in (name for name in names if name != PAIRS and not name.startswith("system.")):
            async for document in database[name].find({}, session=self.within):
                for path, link in links(document):
                    if link.collection == STUDENTS and link.id in ids:
                        unchanged = {"_id": document["_id"], f"{path}.$id": link.id}
                        new = DBRef(STUDENTS, ids[link.id], link.database)
                        await database[name].update_one(unchanged, {"$set": {path: new}}, session=self.within)


def links(value: Any, path: str = "") -> Iterator[tuple[str, DBRef]]:
    """The references in a document, each with its path."""
    if isinstance(value, DBRef):
        yield path, value
    elif isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from links(inner, f"{path}.{key}" if path else str(key))


async def repeated(mover: Mover, work: Any) -> Any:
    """What `work` returns for a batch; again with half of it where another program has changed a document."""
    mover.size = min(2 * mover.size, BATCH) if mover.has_transactions else 1
    while True:
        try:
            async with mover.batch() as session:
                return await work(session)
        except PyMongoError as error:
            if mover.within or not error.has_error_label("TransientTransactionError"):
                raise
            mover.size = max(mover.size // 2, 1)


async def give_object_ids(mover: Mover) -> None:
    """Move the documents, batch by batch, then the links to them."""
    await mover.start()
    while await repeated(mover, mover.forward):
        pass
    pairs = await mover.pairs.find({}, session=mover.within).to_list(None)
    for pair in pairs:
        if pair["new"] != ObjectId(pair["_id"]):
            typer.echo(f"{pair['_id']} has the new id {pair['new']}: another student has the ObjectId of its digits")
    await mover.relink({pair["_id"]: pair["new"] for pair in pairs})


async def restore_text(mover: Mover) -> None:
    """Move the documents back, then the links to them, and forget the pairs."""
    await mover.start()
    pairs = await mover.pairs.find({}, session=mover.within).to_list(None)
    for start in range(0, len(pairs), BATCH):
        batch = pairs[start : start + BATCH]
        while await repeated(mover, lambda session, batch=batch: mover.backward(batch, session)):
            pass
    await mover.relink({pair["new"]: pair["_id"] for pair in pairs})
    await mover.pairs.delete_many({}, session=mover.within)


class Forward:
    @free_fall_migration(document_models=[Student])  # type: ignore[untyped-decorator]  # Beanie has no annotations
    async def give(self, session: Any) -> None:
        """In transactions of its own: one over a whole collection would outgrow MongoDB's limits."""
        await give_object_ids(Mover(session))


class Backward:
    @free_fall_migration(document_models=[Student])  # type: ignore[untyped-decorator]  # Beanie has no annotations
    async def take(self, session: Any) -> None:
        """In transactions of its own, for the same reason."""
        await restore_text(Mover(session))
