"""Makes huggingface.parquet from tests/faults/files/train as `datasets` does (needs pyarrow).

Rows are not sorted by class, and lie in several row groups.
"""

import json
import pathlib

import pyarrow
from pyarrow import parquet

here = pathlib.Path(__file__).parent
names = ["ant", "bee", "cat", "dog"]
images = [
    (path, label)
    for label, name in enumerate(names)
    for path in sorted((here / "../faults/files/train" / name).iterdir())
]
images = images[::5] + [image for at, image in enumerate(images) if at % 5]
struct = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
table = pyarrow.table(
    {
        "image": pyarrow.array(
            [{"bytes": path.read_bytes(), "path": path.name} for path, _ in images], type=struct
        ),
        "label": pyarrow.array([label for _, label in images], type=pyarrow.int64()),
    }
)
features = {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
parquet.write_table(table, here / "huggingface.parquet", row_group_size=10)
