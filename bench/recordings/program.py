"""What python3.hkos was recorded of: text to objects and back, words counted, many small objects."""
import json
import re

rows = [{"id": i, "name": "row %d" % i, "tags": ["t%d" % (i % 7), "u%d" % (i % 11)]} for i in range(2200)]
text = json.dumps(rows)
index = {}
for row in json.loads(text):
    for tag in row["tags"]:
        index.setdefault(tag, []).append(row["name"])
words = re.findall(r"row (\d+)", text)
joined = "".join(sorted(index["t3"]))
objects = [object() for _ in range(15000)]
assert len(words) == 2200 and len(index) == 18 and joined
