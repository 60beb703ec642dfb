"""The card of a published model: front matter for the Hub, and a page for people."""
