// Prints the conformance cases of the CEL specification as one JSON list.
import { toJson } from "@bufbuild/protobuf";
import { SimpleTestSchema } from "@bufbuild/cel-spec/cel/expr/conformance/test/simple_pb.js";
import { getTestRegistry } from "@bufbuild/cel-spec/testdata/registry.js";
import { getConformanceSuite } from "@bufbuild/cel-spec/testdata/tests.js";

const registry = getTestRegistry();

function* cases({ suites, tests }, path) {
  for (const test of tests) yield { suite: path.join("/"), ...toJson(SimpleTestSchema, test.original, { registry }) };
  for (const suite of suites) yield* cases(suite, [...path, suite.name]);
}

process.stdout.write(JSON.stringify([...cases(getConformanceSuite(), [])]));
