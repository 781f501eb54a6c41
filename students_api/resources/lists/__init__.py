"""Lists of documents: query parameters, filters from indexes, keyset pagination and its cursors."""
