/**
 * What GET /licenses shows: the terms under which Dust and what it is made of may be used. Full texts
 * stand in the packages themselves.
 */

/** One line for each part. */
export const LICENSES_TEXT = `Dust: MIT License
Copyright (c) 2026 The Dust authors

Parts that Dust is distributed with:
Deno runtime: MIT License
V8: BSD 3-Clause License
SQLite: in the public domain
@grpc/grpc-js: Apache License 2.0
`;
