"""The compiled decoder against fastavro, on schemas of any shape."""

import json
from io import BytesIO
from itertools import count
from typing import Any

import fastavro
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from goodricke.io.packets.avro import DecodingPlan, MessageReader
from goodricke.io.packets.avro_columns import CompiledDecoder, FastavroDecoder, RecordTable
from goodricke.io.packets.skip_program import REAL, TEXT, WHOLE, YES_OR_NO, Layout, OtherSchemaError
from tests.io.packets.making_packets import encoded

LAYOUT = Layout(
    {"a": REAL, "b": WHOLE, "in": {"c": TEXT, "d": YES_OR_NO}, "many": [{"e": REAL, "f": TEXT}], "gone": REAL}
)

plain = st.sampled_from(["null", "boolean", "int", "long", "float", "double", "bytes", "string"])
numbers = st.integers(0, 10**6)


@st.composite
def unread(draw, depth: int = 2) -> Any:
    """Return a type that nobody wants."""
    kind = draw(st.sampled_from(["plain", "enum", "fixed", "union", "array", "map", "record"] if depth else ["plain"]))
    name = f"n{draw(numbers)}_{draw(numbers)}_{draw(numbers)}"
    if kind == "enum":
        return {"type": "enum", "name": name, "symbols": ["x", "y"]}
    if kind == "fixed":
        return {"type": "fixed", "name": name, "size": draw(st.integers(1, 9))}
    if kind == "union":
        return draw(st.lists(plain, min_size=1, max_size=4, unique=True))
    if kind == "array":
        return {"type": "array", "items": draw(unread(depth - 1).filter(lambda t: t != "null"))}
    if kind == "map":
        return {"type": "map", "values": draw(unread(depth - 1))}
    if kind == "record":
        fields = [{"name": f"r{i}", "type": draw(unread(depth - 1))} for i in range(draw(st.integers(1, 3)))]
        return {"type": "record", "name": name, "fields": fields}
    return draw(plain)


def value_of(draw, kind: Any) -> Any:
    """Return a value of a type."""
    if isinstance(kind, list):
        return value_of(draw, draw(st.sampled_from(kind)))
    name = kind["type"] if isinstance(kind, dict) else kind
    if name == "enum":
        return draw(st.sampled_from(kind["symbols"]))
    if name == "fixed":
        return draw(st.binary(min_size=kind["size"], max_size=kind["size"]))
    if name == "array":
        return [value_of(draw, kind["items"]) for _ in range(draw(st.integers(0, 3)))]
    if name == "map":
        return {
            key: value_of(draw, kind["values"]) for key in draw(st.lists(st.text(max_size=3), max_size=2, unique=True))
        }
    if name == "record":
        return {field["name"]: value_of(draw, field["type"]) for field in kind["fields"]}
    simple = {
        "null": st.none(),
        "boolean": st.booleans(),
        "int": st.integers(-(2**31), 2**31 - 1),
        "long": st.integers(-(2**63) + 1, 2**63 - 1),
        "float": st.floats(width=32),
        "double": st.floats(),
        "bytes": st.binary(max_size=5),
        "string": st.text(max_size=5),
    }
    return draw(simple[name])


@st.composite
def wanted(draw, *kinds: str) -> Any:
    """Return one of the types, null possible in either place."""
    kind = draw(st.sampled_from(kinds))
    return draw(st.sampled_from([kind, ["null", kind], [kind, "null"]]))


@st.composite
def schemas(draw) -> dict[str, Any]:
    def field(name: str, kind: Any) -> dict[str, Any]:
        return {"name": name, "type": kind}

    number = count()

    def others() -> list[dict[str, Any]]:
        return [field(f"x{next(number)}", draw(unread())) for _ in range(draw(st.integers(0, 2)))]

    inner = [field("c", draw(wanted("string"))), *others(), field("d", draw(wanted("boolean")))]
    items = [*others(), field("e", draw(wanted("float", "double", "int", "long"))), field("f", draw(wanted("string")))]
    record: Any = {"type": "record", "name": "inner", "fields": inner}
    items_of: Any = {"type": "array", "items": {"type": "record", "name": "item", "fields": items}}
    record, items_of = (draw(st.sampled_from([kind, ["null", kind]])) for kind in (record, items_of))
    first = [field("a", draw(wanted("float", "double", "int", "long"))), field("b", draw(wanted("int", "long")))]
    fields = [field("x", "long"), *others(), *first, field("in", record), *others(), field("many", items_of), *others()]
    return {
        "type": "record",
        "name": "all",
        "fields": [f for f in fields if draw(st.integers(0, 9)) or f["name"][0] == "x"],
    }


def same(a: dict[str, RecordTable], b: dict[str, RecordTable]) -> None:
    for name in a:
        np.testing.assert_array_equal(a[name].owner, b[name].owner)
        for column, values in a[name].columns.items():
            left, right = (np.asarray(v) for v in (values, b[name].columns[column]))
            np.testing.assert_array_equal(left, right, err_msg=f"{name}.{column}")


def tables(kind: type, messages: list[bytes]) -> dict[str, RecordTable]:
    reader = MessageReader(LAYOUT, None, None)
    decoder = kind(LAYOUT, 0)  # so small that it has to grow
    for i, message in enumerate(messages):
        decoder.add(reader.blocks(message), i)
    return decoder.tables()


def takes_room(kind) -> bool:
    """Whether a value of a type takes any bytes, and so does an item of every list in it."""
    if isinstance(kind, list):
        return all(takes_room(each) or each == "null" for each in kind)
    if not isinstance(kind, dict):
        return kind != "null"
    if kind["type"] in ("array", "map"):
        return takes_room(kind.get("items", kind.get("values")))
    if kind["type"] != "record":
        return True
    return all(takes_room(f["type"]) or f["type"] == "null" for f in kind["fields"]) and any(
        f["type"] != "null" for f in kind["fields"]
    )


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_the_compiled_decoder_gives_what_fastavro_gives(data):
    schema = data.draw(schemas())
    assume(takes_room(schema))  # a list of nothings, however long, is taken for damage
    try:
        fastavro.parse_schema(json.loads(json.dumps(schema)))
    except fastavro.schema.SchemaParseException:
        return  # two types of one name
    records = [value_of(data.draw, schema) for _ in range(data.draw(st.integers(1, 4)))]
    messages = [encoded(schema, records[:2]), *(encoded(schema, [record]) for record in records)]
    same(tables(CompiledDecoder, messages), tables(FastavroDecoder, messages))


def test_a_type_that_is_first_met_where_nobody_wants_it():
    item = {
        "type": "record",
        "name": "item",
        "fields": [{"name": "e", "type": "double"}, {"name": "f", "type": "string"}],
    }
    fields = [{"name": "x", "type": item}, {"name": "many", "type": {"type": "array", "items": "item"}}]
    record = {"x": {"e": 1.0, "f": "u"}, "many": [{"e": 2.0, "f": "v"}] * 3}
    message = encoded({"type": "record", "name": "all", "fields": fields}, [record])
    same(tables(CompiledDecoder, [message]), tables(FastavroDecoder, [message]))
    assert tables(CompiledDecoder, [message])["many"].columns["e"].tolist() == [2.0] * 3


def test_lists_written_in_blocks_with_their_size():
    schema = {
        "type": "record",
        "name": "all",
        "fields": [
            {
                "name": "many",
                "type": {
                    "type": "array",
                    "items": {"type": "record", "name": "item", "fields": [{"name": "e", "type": "float"}]},
                },
            }
        ],
    }
    item = np.float32(1.5).tobytes()
    blocks = b"\x03\x10" + item * 2 + b"\x02" + item + b"\x00"  # -2 items in 8 bytes, 1 item, the end
    messages = MessageReader(LAYOUT, json.dumps(schema), None)
    for kind in (CompiledDecoder, FastavroDecoder):
        decoder = kind(LAYOUT, 1)
        decoder.add(messages.blocks(blocks), 0)
        assert decoder.tables()["many"].columns["e"].tolist() == [1.5] * 3


@pytest.mark.parametrize("items", ["null", {"type": "record", "name": "nothing", "fields": []}])
def test_a_list_of_nothing_without_end(items):
    schema = {"type": "record", "name": "all", "fields": [{"name": "x", "type": {"type": "array", "items": items}}]}
    message = b"\xfe\xff\xff\xff\xff\xff\xff\xff\x7f\x00"
    with pytest.raises(ValueError, match="a list of items without content"):
        MessageReader(LAYOUT, json.dumps(schema), None).blocks(message)


def test_a_damaged_message_leaves_nothing_behind():
    schema = {"type": "record", "name": "all", "fields": [{"name": "b", "type": "long"}]}
    good, two = encoded(schema, [{"b": 1}]), encoded(schema, [{"b": 2}, {"b": 300}])
    messages, decoder = MessageReader(LAYOUT, None, None), CompiledDecoder(LAYOUT, 1)
    blocks = messages.blocks(two)
    with pytest.raises(ValueError, match="cut short"):
        decoder.add([blocks[0], blocks[0]._replace(stop=blocks[0].stop - 1)], 0)
    decoder.add(messages.blocks(good), 1)
    assert decoder.tables()[""].columns["b"].tolist() == [1]


def test_a_field_of_another_kind_makes_another_schema():
    for kind, text in [
        ("string", "the field a is string, not real"),
        ({"type": "array", "items": "double"}, "the field a is a list"),
        ({"type": "record", "name": "r", "fields": []}, "the field a is a record"),
    ]:
        schema = {"type": "record", "name": "all", "fields": [{"name": "a", "type": kind}]}
        with pytest.raises(OtherSchemaError, match=text):
            DecodingPlan.from_json(json.dumps(schema), LAYOUT)


def test_no_schema():
    for text in ["", "{", "[]", "3", '"nothing"', '{"type": "record"}', '{"type": {"type": {}}}']:
        with pytest.raises(OtherSchemaError):
            DecodingPlan.from_json(text, LAYOUT)


def test_a_type_that_contains_itself():
    link = {"type": "record", "name": "link", "fields": [{"name": "next", "type": ["null", "link"]}]}
    with pytest.raises(OtherSchemaError):
        DecodingPlan.from_json(json.dumps(link), LAYOUT)


@pytest.mark.parametrize("codec", ["deflate", "xz", "bzip2", "snappy", "zstandard"])
def test_packed_files(codec):
    schema = {"type": "record", "name": "all", "fields": [{"name": "b", "type": "long"}]}
    try:
        message = encoded(schema, [{"b": i} for i in range(100)], codec)
    except ValueError:
        pytest.skip(f"nothing here writes {codec}")
    messages, decoder = MessageReader(LAYOUT, None, None), CompiledDecoder(LAYOUT, 1)
    if codec in ("xz", "bzip2"):
        with pytest.raises(ValueError, match="isn't known"):
            messages.blocks(message)
        return
    decoder.add(messages.blocks(message), 0)
    assert decoder.tables()[""].columns["b"].tolist() == list(range(100))
    assert BytesIO(message).read(4) == b"Obj\x01"
    with pytest.raises(ValueError, match="damaged"):
        messages.blocks(message[:-20] + b"\0" * 20)
