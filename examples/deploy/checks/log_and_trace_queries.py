"""Parses the queries of the dashboards to Loki and Tempo with Grafana's grammars: log_and_trace_queries.py FOLDER"""

import json
import pathlib
import subprocess
import sys

COUNT_ERRORS = """
import { parser as logql } from '@grafana/lezer-logql';
import { parser as traceql } from '@grafana/lezer-traceql';
const errors = (parser, query) => {
    let found = 0;
    parser.parse(query).iterate({ enter: (node) => { found += node.type.isError ? 1 : 0; } });
    return found;
};
const faults = queries.filter(([kind, query]) => errors(kind === 'loki' ? logql : traceql, query));
if (!errors(logql, '{a="b"} |= ') || !errors(traceql, '{status=}')) faults.push('the parsers accept anything');
console.log(faults.join('\\n'));
process.exit(faults.length && 1);
"""
VALUES = {"$__auto": "1m", "$job": "api-server", "$trace_id": "0af7651916cd43dd8448eb211c80319c"}


def queries():
    for file in sorted(pathlib.Path("grafana").glob("dashboards*/*.json")):
        for panel in json.loads(file.read_text())["panels"]:
            for target in panel["targets"]:
                kind = target["datasource"]["type"]
                if kind in ("loki", "tempo"):
                    query = target["expr" if kind == "loki" else "query"]
                    for variable, value in VALUES.items():
                        query = query.replace(variable, value)
                    yield kind, query


folder, found = pathlib.Path(sys.argv[1]), [each for each in queries() if each[1] != VALUES["$trace_id"]]
(folder / "queries.mjs").write_text(f"const queries = {json.dumps(found)};\n{COUNT_ERRORS}")
done = subprocess.run(["node", "queries.mjs"], cwd=folder, capture_output=True, text=True, check=False)
print(done.stdout + done.stderr)
sys.exit(done.returncode or not found)
