//! Words the contract promises and this version does not have: each answers so, never "unknown".

use super::Kind;
use super::Word;
use super::word;

const NAMES: &[(&str, &str)] = &[
    ("grpc", "calls a gRPC method"),
    ("grpc_json", "JSON in front of gRPC services"),
    ("grpc_web", "gRPC-Web for browsers"),
    ("xml_to_json", "answers in JSON from XML"),
    ("json_to_xml", "answers in XML from JSON"),
    ("soap", "REST in front of SOAP"),
    ("graphql", "REST in front of GraphQL"),
    ("xml", "reads and writes XML"),
    ("trace", "spans of your own"),
];

pub(super) fn words() -> Vec<Word> {
    NAMES.iter().map(|(name, doc)| word(Kind::Later, name, name, doc, "")).collect()
}
