"""Twilio's side, by Twilio's own package: signs requests, and reads answers. A JSON object a line.

{"sign": {"token": .., "url": .., "parameters": [[name, value], ..]}}  answers with the signature
{"read": xml}  answers with what stands in <Response>: [[verb, attributes, text, nouns], ..]; fails
               where the package knows no such verb, noun or attribute
"""

import inspect
import json
import sys
from xml.etree import ElementTree

from twilio.request_validator import RequestValidator
from twilio.twiml import lower_camel
from twilio.twiml.voice_response import Dial, VoiceResponse


class Parameters(list):
    """All that was sent; the package reads one name's values at a time."""

    def __iter__(self):
        return (name for name, _ in super().__iter__())

    def getall(self, wanted):
        return [value for name, value in super().__iter__() if name == wanted]


def read(element, maker):
    method = getattr(maker, element.tag.lower())
    allowed = {lower_camel(name) for name in inspect.signature(method).parameters}
    unknown = set(element.attrib) - allowed
    assert not unknown, f"<{element.tag}> knows no {unknown}"
    nouns = [read(child, Dial) for child in element]
    return [element.tag, element.attrib, element.text or "", nouns]


for line in sys.stdin:
    asked = json.loads(line)
    if "sign" in asked:
        sign = asked["sign"]
        validator = RequestValidator(sign["token"])
        answer = validator.compute_signature(sign["url"], Parameters(map(tuple, sign["parameters"])))
    else:
        root = ElementTree.fromstring(asked["read"].encode())
        assert root.tag == "Response" and not root.attrib, asked["read"]
        answer = [read(child, VoiceResponse) for child in root]
    print(json.dumps(answer), flush=True)
