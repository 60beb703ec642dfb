import tomllib

from styledag.publishing.datasets.kohya import toml_lines


def test_tomllib_reads_what_was_written() -> None:
    values = {
        "text": 'C:\\new "x"\t\x7f\x00 é 🫨 \u2028',
        "yes": True,
        "no": False,
        "count": 3,
        "rate": 1e-05,
        "half": 0.5,
        "list": ["a=(0.9, 0.99)", 'b="c"'],
        "nothing": [],
    }

    text = "\n".join(["[table]", *toml_lines(values, indent="  ")])

    assert tomllib.loads(text) == {"table": values}
