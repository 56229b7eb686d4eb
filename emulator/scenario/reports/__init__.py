"""One result, many renderings: text, JSON, JUnit, HTML, GitHub."""
