"""Checks envelopes with tools that are not pv's: in-toto-attestation reads the statements, securesystemslib checks the signatures.

    check_intoto.py ENVELOPES KEY

ENVELOPES has a DSSE envelope a line; KEY is the public key as PEM. Prints the subject and the kind of each; ends with 1 at the first that does not hold.
"""

import json
import sys

from google.protobuf import json_format
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

SLSA = "https://slsa.dev/provenance/v1"


def main():
    envelopes, pem = sys.argv[1:]
    public = load_pem_public_key(open(pem, "rb").read())
    for line in open(envelopes):
        envelope = Envelope.from_dict(json.loads(line))
        (keyid,) = envelope.signatures
        envelope.verify([SSlibKey.from_crypto(public, keyid=keyid)], 1)
        assert envelope.payload_type == "application/vnd.in-toto+json", envelope.payload_type
        parsed = json_format.Parse(envelope.payload, statement_pb2.Statement())
        Statement.copy_from_pb(parsed).validate()
        if parsed.predicate_type == SLSA:
            # Unknown fields are errors here.
            provenance = json_format.Parse(json.dumps(json.loads(envelope.payload)["predicate"]), provenance_pb2.Provenance())
            assert provenance.build_definition.build_type and provenance.run_details.builder.id
        print(parsed.subject[0].name, parsed.subject[0].digest["sha256"], parsed.predicate_type)


main()
