// Cloudflare's REST API for D1 over Cloudflare's own engine, for tests: each
// database lives in workerd, and a dump is made by the routine that comes with
// miniflare, which Cloudflare keeps in step with production's.
//
// It prints one line of JSON with its addresses when it is ready, and ends when
// its standard input closes. It listens on 127.0.0.1 only.
//
// What it does not do: import, restore, rate limits, and faults. Those are the
// sandbox's (pkg/sandbox), which this server keeps honest.

import { createHash, randomBytes, randomUUID, timingSafeEqual } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

const modules = process.env.PATINA_TEST_NODE_MODULES;
if (!modules) {
  throw new Error("PATINA_TEST_NODE_MODULES is not set");
}
const { Miniflare, convertV4MiniflareOptions } = createRequire(join(modules, "package.json"))("miniflare");

const account = process.env.WORKERD_ACCOUNT ?? "workerd-account";
const token = process.env.WORKERD_TOKEN ?? "workerd-token";
// Adding a database to a running workerd restarts it, so there is a fixed
// number of places; creating a database takes one for good.
const places = Number(process.env.WORKERD_PLACES ?? 8);
// How long an export or import lives without being polled.
const pollTimeout = Number(process.env.WORKERD_POLL_SECONDS ?? 30) * 1000;
const urlLifetime = Number(process.env.WORKERD_URL_SECONDS ?? 3600) * 1000;
// Production writes a line feed after the last statement.
const finalNewline = "\n";

const folder = mkdtempSync(join(tmpdir(), "patina-workerd-"));
const bindings = Object.fromEntries(Array.from({ length: places }, (_, i) => [`PLACE${i}`, randomUUID()]));
const miniflare = new Miniflare(
  convertV4MiniflareOptions({
    name: "databases",
    modules: true,
    script: "export default { fetch() { return new Response(null, { status: 404 }); } }",
    compatibilityDate: "2026-01-01",
    d1Databases: bindings,
    resourcePersistencePath: join(folder, "state"),
    resourceTmpPath: join(folder, "tmp"),
    telemetry: { enabled: false },
  }),
);

/** The databases by id: {id, name, d1, createdAt, writes, task}. */
const databases = new Map();
let placesTaken = 0;
/** The dumps by file name: {text, etag, expiresAt, signature}. */
const dumps = new Map();
/** The files to import by name: {id, text, etag, expiresAt, signature}; text is missing until it has come. */
const uploads = new Map();

class Refusal extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

function envelope(response, status, body) {
  response.writeHead(status, { "content-type": "application/json", "cf-ray": `${randomBytes(8).toString("hex")}-TST` });
  response.end(JSON.stringify({ success: true, errors: [], messages: [], ...body }));
}

function refuse(response, { status = 500, code = 7500, message }) {
  envelope(response, status, { success: false, errors: [{ code, message }], result: null });
}

async function readJSON(request) {
  const chunks = [];
  for await (const chunk of request) {
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString("utf8"));
  } catch (error) {
    throw new Refusal(400, 7400, `Invalid JSON: ${error.message}`);
  }
}

function authorize(request) {
  const given = Buffer.from(request.headers.authorization ?? "");
  const wanted = Buffer.from(`Bearer ${token}`);
  if (given.length !== wanted.length || !timingSafeEqual(given, wanted)) {
    throw new Refusal(401, 10000, "Authentication error");
  }
}

/** The database of an id or, where the route takes one, of a name. */
function find(id, named = "") {
  const database = databases.get(id) ?? [...databases.values()].find(({ name }) => name === named);
  if (!database) {
    throw new Refusal(404, 7404, `The database ${id} could not be found`);
  }
  const { task } = database;
  if (task && !task.told && Date.now() - task.seenAt > pollTimeout) {
    // What is left undone has changed nothing.
    database.task = null;
  }
  return database;
}

function describe({ id, name, createdAt }) {
  return { uuid: id, name, version: "production", created_at: createdAt };
}

async function details(database) {
  const size = await database.d1.prepare("SELECT 1").all();
  const tables = await database.d1
    .prepare("SELECT count(*) AS n FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT LIKE '_cf_%'")
    .first("n");
  return { ...describe(database), file_size: size.meta.size_after, num_tables: tables, running_in_region: "WEUR" };
}

function remove({ id }) {
  databases.delete(id);
  for (const filename of dumps.keys()) {
    if (filename.startsWith(id)) {
      dumps.delete(filename);
    }
  }
  for (const filename of uploads.keys()) {
    if (filename.startsWith(id)) {
      uploads.delete(filename);
    }
  }
  return null;
}

function list(url) {
  const page = Number(url.searchParams.get("page") ?? 1);
  const perPage = Number(url.searchParams.get("per_page") ?? 1000);
  if (!(page >= 1) || !(perPage >= 10 && perPage <= 10000)) {
    throw new Refusal(400, 7400, "Invalid property: page or per_page");
  }
  const wanted = (url.searchParams.get("name") ?? "").toLowerCase();
  const found = [...databases.values()].map(describe).filter(({ name }) => name.toLowerCase().includes(wanted));
  const result = found.slice((page - 1) * perPage, page * perPage);
  return { result, result_info: { page, per_page: perPage, count: result.length, total_count: databases.size } };
}

function create({ name }) {
  if (typeof name !== "string" || !/^[a-zA-Z0-9][a-zA-Z0-9_-]*$/.test(name)) {
    throw new Refusal(400, 7400, "Invalid property: name");
  }
  if ([...databases.values()].some((database) => database.name === name)) {
    throw new Refusal(400, 7502, `Database with name '${name}' already exists`);
  }
  return name;
}

async function add(name) {
  if (placesTaken >= places) {
    throw new Refusal(400, 7406, `System limit reached: databases per account (${places})`);
  }
  const binding = `PLACE${placesTaken++}`;
  const database = {
    id: bindings[binding],
    name,
    d1: await miniflare.getD1Database(binding),
    createdAt: new Date().toISOString(),
    writes: 0,
    task: null,
  };
  databases.set(database.id, database);
  return database;
}

/** A bookmark that moves with writes only: workerd's own moves with every read. */
function bookmark({ writes }) {
  const hex = (n, width) => n.toString(16).padStart(width, "0");
  const rest = createHash("md5").update(String(writes)).digest("hex");
  return `${hex(1, 8)}-${hex(writes, 8)}-${hex(0x50d0, 8)}-${rest}`;
}

function statements(body) {
  const batch = body.batch ?? [body];
  if (!Array.isArray(batch) || batch.length === 0 || batch.some(({ sql }) => typeof sql !== "string")) {
    throw new Refusal(400, 7400, "Invalid property: sql => Required");
  }
  if (batch.some(({ params }) => params === null)) {
    throw new Refusal(400, 7400, "Invalid property: params => Expected array, received null");
  }
  return batch;
}

/** How many rows this database's connection has changed so far. */
async function changes({ d1 }) {
  return await d1.prepare("SELECT total_changes() AS n").first("n");
}

const reads = /^(\s|--.*\n|\/\*[^]*?\*\/)*(select|with|values|pragma|explain)\b/i;

/** One statement: D1's own splitter is not part of miniflare. */
async function run(database, { sql, params = [] }, raw) {
  const before = await changes(database);
  const statement = database.d1.prepare(sql).bind(...params);
  const result = { success: true, meta: {} };
  if (raw) {
    // The only call that tells the columns of no rows tells no meta.
    const [columns, ...rows] = await statement.raw({ columnNames: true });
    result.results = { columns: columns ?? [], rows };
  } else {
    const { meta, results } = await statement.all();
    Object.assign(result, { meta, results });
  }
  // What changes the schema changes no row.
  if (!reads.test(sql) || await changes(database) !== before) {
    database.writes++;
  }
  return result;
}

/** Several statements, as one transaction. */
async function runBatch(database, all, raw) {
  if (raw) {
    // miniflare has no such call, and Patina sends none.
    throw new Error("a batch has no raw form here");
  }
  const results = await database.d1.batch(all.map(({ sql, params = [] }) => database.d1.prepare(sql).bind(...params)));
  database.writes++;
  return results.map(({ meta, results: rows }) => ({ success: true, meta, results: rows }));
}

async function query(database, body, raw) {
  if (database.task) {
    throw new Refusal(400, 7500, `D1_ERROR: Currently processing a long-running ${database.task.kind}.`);
  }
  const all = statements(body);
  try {
    if (all.length > 1) {
      return await runBatch(database, all, raw);
    }
    return [await run(database, all[0], raw)];
  } catch (error) {
    throw new Refusal(400, 7500, error.message.replace(/^D1_ERROR: /, ""));
  }
}

async function dump(database, { no_schema: noSchema = false, no_data: noData = false, tables = [] }) {
  const rows = await database.d1
    .prepare(`PRAGMA miniflare_d1_export(?,?,?);`)
    .bind(noSchema, noData, ...tables)
    .raw();
  return rows[0].join("\n") + finalNewline;
}

function inner(error) {
  return { status: 200, result: { success: false, error } };
}

function underWay(kind, wanted) {
  return inner(`Currently processing a long-running ${kind}. Cannot start a new ${wanted} until that completes or times out.`);
}

async function exportDatabase(database, body, filesURL) {
  if (body.output_format !== "polling") {
    throw new Refusal(400, 7400, "Invalid property: output_format => Invalid literal value, expected \"polling\"");
  }
  const running = (status, extra = {}) => ({
    status: status === "active" ? 202 : 200,
    result: { success: true, type: "export", status, at_bookmark: database.task.bookmark, messages: [], ...extra },
  });
  if (body.current_bookmark === undefined) {
    if (database.task) {
      return underWay(database.task.kind, "export");
    }
    database.task = { kind: "export", seenAt: Date.now(), bookmark: bookmark(database), options: body.dump_options ?? {} };
    return running("active");
  }
  const { task } = database;
  if (task?.kind !== "export" || task.bookmark !== body.current_bookmark || task.told) {
    return inner("Not currently exporting anything.");
  }
  // The end is told once, also to two polls at once.
  task.told = true;
  try {
    const text = Buffer.from(await dump(database, task.options), "utf8");
    const filename = `${database.id}-${task.bookmark}.sql`;
    const signature = randomBytes(32).toString("hex");
    dumps.set(filename, {
      text, signature,
      etag: createHash("md5").update(text).digest("hex"),
      expiresAt: Date.now() + urlLifetime,
    });
    const answer = running("complete", {
      result: { filename, signed_url: `${filesURL}/d1-sqlio-outgoing-prod/${filename}?X-Amz-Expires=${urlLifetime / 1000}&X-Amz-Signature=${signature}` },
    });
    return answer;
  } catch (error) {
    // miniflare passes the generator's exception on in this form.
    const text = /cannot export[^"\n]*/.exec(error.message)?.[0] ?? error.message;
    return inner(`D1 Export error: ${text}`);
  } finally {
    database.task = null;
  }
}

/** The states of sqlite3_complete after a token: https://www.sqlite.org/src/file/src/complete.c. */
const completeAfter = [
  // ;  space other explain create temp trigger end
  [1, 0, 2, 3, 4, 2, 2, 2],
  [1, 1, 2, 3, 4, 2, 2, 2],
  [1, 2, 2, 2, 2, 2, 2, 2],
  [1, 3, 3, 2, 4, 2, 2, 2],
  [1, 4, 2, 2, 2, 4, 5, 2],
  [6, 5, 5, 5, 5, 5, 5, 5],
  [6, 6, 5, 5, 5, 5, 5, 7],
  [1, 7, 5, 5, 5, 5, 5, 5],
];
const keywords = { explain: 3, create: 4, temp: 5, temporary: 5, trigger: 6, end: 7 };
const sqlToken =
  /(;)|([ \t\r\n\f]|--[^\n\0]*\n|\/\*[^\0]*?\*\/)|([A-Za-z0-9_$\u0080-\uffff]+)|'[^'\0]*'|"[^"\0]*"|`[^`\0]*`|\[[^\]\0]*\]|--|\/\*|[^'"`[\0]/gy;

/**
 * The statements of a file, cut as D1's import cuts them: after the semicolon
 * that makes the text complete (workerd's patch of sqlite3_complete).
 */
function cut(text) {
  const all = [];
  let begin = 0;
  let state = 0;
  sqlToken.lastIndex = 0;
  for (let match; (match = sqlToken.exec(text)); ) {
    const [token, semicolon, space, word] = match;
    if (token === "--" || token === "/*") {
      break; // a comment without end
    }
    const kind = semicolon ? 0 : space ? 1 : (keywords[word?.toLowerCase()] ?? 2);
    state = completeAfter[state][kind];
    if (state === 1) {
      all.push(text.slice(begin, match.index + token.length));
      begin = match.index + token.length;
      state = 0;
    }
  }
  return { all, rest: text.slice(begin) };
}

/** Whether a text is nothing but space and comments. */
function nothing(text) {
  return text.replace(/--[^\n]*|\/\*[^]*?(\*\/|$)/g, "").trim() === "";
}

/** D1's import, as one transaction, which is what makes it one unit. */
async function ingest(database, text) {
  if (text.startsWith("SQLite format 3")) {
    throw new Error("file is a SQLite database, not SQL: SQLITE_ERROR");
  }
  const { all, rest } = cut(text);
  if (!nothing(rest)) {
    // What stands before it is run, and undone by what the engine calls
    // incomplete as well.
    all.push("SELECT (");
  }
  if (all.some((sql) => nothing(sql.slice(0, -1)))) {
    // miniflare leaves these out, and the engine refuses them.
    throw new Error("SQL code did not contain a statement.: SQLITE_ERROR");
  }
  const results = all.length === 0 ? [] : await database.d1.batch(all.map((sql) => database.d1.prepare(sql)));
  const sum = (field) => results.reduce((total, { meta }) => total + meta[field], 0);
  return {
    num_queries: results.length,
    meta: {
      ...results.at(-1)?.meta, changed_db: true,
      duration: sum("duration"), changes: sum("changes"), rows_read: sum("rows_read"), rows_written: sum("rows_written"),
    },
  };
}

function uploaded({ id }, filename, etag) {
  const file = uploads.get(filename);
  return file?.id === id && file.text !== undefined && file.etag === etag ? file : null;
}

function startImport(database, { text }) {
  if (database.task) {
    return underWay(database.task.kind, "import");
  }
  database.task = { kind: "import", seenAt: Date.now(), bookmark: bookmark(database), text };
  return importing(database.task, "active");
}

function importing({ bookmark: at }, status, extra = {}) {
  return { status: status === "active" ? 202 : 200, result: { success: true, type: "import", status, at_bookmark: at, messages: [], ...extra } };
}

async function importFile(database, body, filesURL) {
  if (body.action !== "poll" && !/^[0-9a-f]{32}$/.test(body.etag ?? "")) {
    throw new Refusal(400, 7400, "Invalid property: etag => Invalid");
  }
  switch (body.action) {
    case "init": {
      const filename = `${database.id}.${createHash("md5").update(database.id + body.etag).digest("hex").slice(0, 16)}.sql`;
      const file = uploaded(database, filename, body.etag);
      if (file) {
        return startImport(database, file);
      }
      const signature = randomBytes(32).toString("hex");
      uploads.set(filename, { id: database.id, signature, expiresAt: Date.now() + urlLifetime });
      return {
        status: 200,
        result: { filename, upload_url: `${filesURL}/d1-sqlio-incoming-prod/${filename}?X-Amz-Expires=${urlLifetime / 1000}&X-Amz-Signature=${signature}` },
      };
    }
    case "ingest": {
      const file = uploaded(database, body.filename, body.etag);
      return file ? startImport(database, file) : inner(`Input file ${body.filename} missing or invalid`);
    }
    case "poll":
      return await pollImport(database, body.current_bookmark);
    default:
      throw new Refusal(400, 7400, "Invalid property: action");
  }
}

async function pollImport(database, current) {
  const { task } = database;
  if (task?.kind !== "import" || task.bookmark !== current || task.told) {
    return inner("Not currently importing anything.");
  }
  task.told = true;
  try {
    const { num_queries, meta } = await ingest(database, task.text.toString("utf8"));
    database.writes++;
    return importing(task, "complete", { result: { num_queries, final_bookmark: bookmark(database), meta } });
  } catch (error) {
    return importing(task, "error", { success: false, error: error.message.replace(/^D1_ERROR: /, "") });
  } finally {
    database.task = null;
  }
}

async function route(request, response, filesURL) {
  authorize(request);
  const url = new URL(request.url, "http://127.0.0.1");
  const path = url.pathname.replace(/^\/client\/v4/, "");
  if (request.method === "GET" && path === "/user/tokens/verify") {
    return envelope(response, 200, { result: { id: "workerd-token-id", status: "active" } });
  }
  const match = /^\/accounts\/([^/]+)\/d1\/database(?:\/([^/]+)(?:\/(.+))?)?$/.exec(path);
  if (!match) {
    throw new Refusal(404, 7003, `Could not route to ${path}, perhaps your object identifier is invalid?`);
  }
  const [, accountID, id, verb] = match;
  if (accountID !== account) {
    throw new Refusal(403, 7403, "The given account is not valid or is not authorized to access this service");
  }
  const call = `${request.method} ${id ? (verb ?? "database") : "databases"}`;
  switch (call) {
    case "GET databases":
      return envelope(response, 200, list(url));
    case "POST databases":
      return envelope(response, 200, { result: describe(await add(create(await readJSON(request)))) });
    case "GET database":
      return envelope(response, 200, { result: await details(find(id, id)) });
    case "DELETE database":
      return envelope(response, 200, { result: remove(find(id)) });
    case "POST query":
    case "POST raw":
      return envelope(response, 200, { result: await query(find(id), await readJSON(request), verb === "raw") });
    case "POST export": {
      const answer = await exportDatabase(find(id), await readJSON(request), filesURL);
      return envelope(response, answer.status, { result: answer.result });
    }
    case "POST import": {
      const answer = await importFile(find(id), await readJSON(request), filesURL);
      return envelope(response, answer.status, { result: answer.result });
    }
    case "GET time_travel/bookmark":
      return envelope(response, 200, { result: { bookmark: bookmark(find(id)) } });
    default:
      throw new Refusal(405, 7001, `Method ${request.method} not available for that URI.`);
  }
}

/** Takes a file to import under its signed URL. */
async function receiveFile(request, url, xml, response) {
  const file = uploads.get(url.pathname.split("/").pop());
  if (request.method !== "PUT" || !file || url.searchParams.get("X-Amz-Signature") !== file.signature || Date.now() > file.expiresAt) {
    return xml(403, "AccessDenied");
  }
  if (request.headers["content-length"] === undefined) {
    return xml(411, "MissingContentLength");
  }
  const chunks = [];
  for await (const chunk of request) {
    chunks.push(chunk);
  }
  file.text = Buffer.concat(chunks);
  file.etag = createHash("md5").update(file.text).digest("hex");
  response.writeHead(200, { etag: `"${file.etag}"` });
  return response.end();
}

function serveFile(request, response) {
  const url = new URL(request.url, "http://127.0.0.1");
  const file = dumps.get(url.pathname.split("/").pop());
  const xml = (status, code) => {
    response.writeHead(status, { "content-type": "application/xml" });
    response.end(`<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code></Error>`);
  };
  if (request.headers.authorization) {
    return xml(400, "InvalidArgument");
  }
  if (url.pathname.startsWith("/d1-sqlio-incoming-prod/")) {
    // An upload that breaks off leaves nothing.
    return receiveFile(request, url, xml, response).catch(() => response.destroy());
  }
  if (!file || url.searchParams.get("X-Amz-Signature") !== file.signature || Date.now() > file.expiresAt) {
    return xml(403, "AccessDenied");
  }
  const headers = { "content-type": "application/sql", etag: `"${file.etag}"`, "accept-ranges": "bytes" };
  const condition = request.headers["if-match"];
  if (condition && condition !== headers.etag) {
    return xml(412, "PreconditionFailed");
  }
  const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "");
  if (!range) {
    response.writeHead(200, { ...headers, "content-length": file.text.length });
    return response.end(file.text);
  }
  const first = Number(range[1]);
  const last = range[2] === "" ? file.text.length - 1 : Math.min(Number(range[2]), file.text.length - 1);
  if (first > last) {
    return xml(416, "InvalidRange");
  }
  response.writeHead(206, {
    ...headers,
    "content-length": last - first + 1,
    "content-range": `bytes ${first}-${last}/${file.text.length}`,
  });
  return response.end(file.text.subarray(first, last + 1));
}

function listen(handler) {
  const server = createServer(handler);
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => resolve(`http://127.0.0.1:${server.address().port}`));
  });
}

let ending = false;
async function end() {
  if (ending) {
    return;
  }
  ending = true;
  try {
    await miniflare.dispose();
  } finally {
    rmSync(folder, { recursive: true, force: true });
    process.exit(0);
  }
}

process.stdin.on("end", end).on("error", end).resume();
process.on("SIGTERM", end).on("SIGINT", end);
await miniflare.ready;
const filesURL = await listen(serveFile);
const apiURL = await listen((request, response) => {
  route(request, response, filesURL).catch((error) => refuse(response, error));
});
console.log(JSON.stringify({ baseUrl: `${apiURL}/client/v4`, filesUrl: filesURL, accountId: account, token }));
