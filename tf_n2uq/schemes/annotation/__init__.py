"""Networks of other origins, written with layers that the schemes know."""
