/**
 * One exchange with the Omise API, or with where it stores codes: sent, timed, bounded, understood, logged.
 * The key goes to the API alone: not into a log or an error, not along a redirect, not to where a code is stored.
 */
import type { Logger } from 'pino'
import { z } from 'zod'

/** omise-api.md, section 1: shapes differ between versions, so each request names the one we read. */
export const OMISE_VERSION = '2019-05-29'

/** The largest answer we read, and the largest code document, in bytes. */
export const ANSWER_BYTES_MAX = 1_048_576

/** Why we do not know. For a write it means: it may have happened, or not; only from 'unreachable' nothing was ever sent. */
export type NoAnswer = 'unreachable' | 'timeout' | 'network' | 'server error' | 'unreadable answer' | 'rate limited'

export type Answer<T> =
  | { readonly answer: 'ok'; readonly value: T }
  /** The API understood and said no: nothing happened. `code` is an open set (omise-api.md, section 1). */
  | { readonly answer: 'refused'; readonly status: number; readonly code: string; readonly message: string }
  | { readonly answer: 'none'; readonly because: NoAnswer; readonly text: string }

const READ_ATTEMPTS_MAX = 3
const READ_PAUSE_MS = 200
const REDIRECTS_MAX = 3
const MESSAGE_LENGTH_MAX = 200

export interface Call {
  readonly origin: URL
  readonly authorization: string
  readonly timeoutMs: number
  readonly log: Logger
}

export interface Request {
  readonly what: string
  readonly method: 'GET' | 'POST'
  readonly path: string
  readonly body?: object
}

/** Undefined: not what we asked for. */
export type Reader<T> = (json: unknown) => T | undefined

const ErrorJson = z.object({ object: z.literal('error'), code: z.string().min(1).max(64), message: z.string().nullish() })

const none = (because: NoAnswer, text: string) => ({ answer: 'none', because, text }) as const

/** At most two more times, and never against a limit: that asks for fewer requests. */
export async function repeat<T>(
  attempt: () => Promise<Answer<T>>,
  sleep: (ms: number) => Promise<unknown>,
): Promise<Answer<T>> {
  for (let attempts = 1; ; attempts += 1) {
    const answer = await attempt()
    if (answer.answer !== 'none' || answer.because === 'rate limited' || attempts >= READ_ATTEMPTS_MAX) return answer
    await sleep(READ_PAUSE_MS * 2 ** (attempts - 1))
  }
}

export async function ask<T>(call: Call, request: Request, reader: Reader<T>): Promise<Answer<T>> {
  const startedMs = performance.now()
  let requestId: string | undefined
  let status: number | undefined
  let answer: Answer<T>
  try {
    const response = await fetch(new URL(request.path, call.origin), {
      method: request.method,
      headers: {
        authorization: call.authorization,
        'omise-version': OMISE_VERSION,
        accept: 'application/json',
        ...(request.body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(request.body === undefined ? {} : { body: JSON.stringify(request.body) }),
      // The API has no reason to send us, and our key, elsewhere.
      redirect: 'manual',
      signal: AbortSignal.timeout(call.timeoutMs),
    })
    status = response.status
    requestId = response.headers.get('x-request-id')?.slice(0, 64)
    answer = understand(status, await bodyText(response), reader)
  } catch (error) {
    answer = brokenExchange(error, call.timeoutMs)
  }
  const tookMs = Math.round(performance.now() - startedMs)
  call.log.info({ what: request.what, status, requestId, tookMs, ...outcomeOf(answer) }, 'asked omise')
  return answer
}

function understand<T>(status: number, text: string | undefined, reader: Reader<T>): Answer<T> {
  if (status === 429) return none('rate limited', 'too many requests')
  if (status >= 500) return none('server error', `status ${status}`)
  const json = text === undefined ? undefined : parseJson(text)
  const error = ErrorJson.safeParse(json)
  if (error.success && status < 300) {
    return none('unreadable answer', `status ${status} with the error ${word(error.data.code)}`)
  }
  if (error.success && status >= 400) {
    return { answer: 'refused', status, code: word(error.data.code), message: sentence(error.data.message ?? '') }
  }
  if (status < 200 || status >= 300) return none('unreadable answer', `status ${status} without an error of the API`)
  const value = reader(json)
  if (value === undefined) return none('unreadable answer', `status ${status} with something else than was asked for`)
  return { answer: 'ok', value }
}

/** The body of a JSON answer; undefined when it is anything else, or too long. Rejects when it breaks off. */
async function bodyText(response: Response): Promise<string | undefined> {
  const isJson = /^application\/json\s*(;|$)/i.test(response.headers.get('content-type') ?? '')
  const bytes = await boundedBytes(response)
  return isJson && bytes !== undefined ? new TextDecoder().decode(bytes) : undefined
}

/** Undefined when longer than the bound; the rest is then not read. */
async function boundedBytes(response: Response): Promise<Uint8Array | undefined> {
  const chunks: Uint8Array[] = []
  let length = 0
  // The platform's types leave the chunks open; fetch yields bytes.
  const body: AsyncIterable<Uint8Array> | Iterable<Uint8Array> = response.body ?? []
  for await (const chunk of body) {
    length += chunk.byteLength
    if (length > ANSWER_BYTES_MAX) return undefined
    chunks.push(chunk)
  }
  return new Uint8Array(Buffer.concat(chunks, length))
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // Truncated, or no JSON: the readers take undefined for what it is, an answer to nothing.
    return undefined
  }
}

/** Says what broke by the platform's code only: its messages may quote an address. */
/** No connection came about, so no byte of the request left us. */
const NEVER_SENT: ReadonlySet<string> = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'UND_ERR_CONNECT_TIMEOUT'])

function brokenExchange(error: unknown, timeoutMs: number): { answer: 'none'; because: NoAnswer; text: string } {
  if (error instanceof Error && error.name === 'TimeoutError') return none('timeout', `no answer within ${timeoutMs} ms`)
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : undefined
  const code = cause !== undefined && 'code' in cause && typeof cause.code === 'string' ? cause.code : 'connection broken'
  return none(NEVER_SENT.has(code) ? 'unreachable' : 'network', code)
}

function outcomeOf(answer: Answer<unknown>): object {
  switch (answer.answer) {
    case 'ok': return { answer: 'ok' }
    case 'refused': return { answer: 'refused', code: answer.code }
    case 'none': return { answer: 'none', because: answer.because, text: answer.text }
  }
}

const word = (text: string): string => text.replace(/[^a-z0-9_]/gi, '_')

const sentence = (text: string): string => text.replace(/[^\x20-\x7e]/g, ' ').slice(0, MESSAGE_LENGTH_MAX)

/* -- The code document ------------------------------------------------------------------------------------------------ */

export interface DocumentCall extends Call {
  readonly hosts: readonly string[]
}

/** Follows few redirects, each held to the same rule. Bears no key: the address itself is the permission. */
export async function download(call: DocumentCall, downloadUri: string): Promise<Answer<Uint8Array>> {
  const signal = AbortSignal.timeout(call.timeoutMs)
  let answer: Answer<Uint8Array>
  try {
    answer = await follow(call, downloadUri, signal)
  } catch (error) {
    answer = brokenExchange(error, call.timeoutMs)
  }
  call.log.info({ what: 'download code', ...outcomeOf(answer) }, 'asked omise')
  return answer
}

async function follow(call: DocumentCall, downloadUri: string, signal: AbortSignal): Promise<Answer<Uint8Array>> {
  let address = downloadUri
  let base: URL | undefined
  for (let redirects = 0; redirects <= REDIRECTS_MAX; redirects += 1) {
    const url = documentUrl(call, address, base)
    if (url === undefined) {
      return { answer: 'refused', status: 0, code: 'foreign_address', message: 'a code is not stored there' }
    }
    const response = await fetch(url, { redirect: 'manual', signal })
    const location = response.headers.get('location')
    if (response.status >= 300 && response.status < 400 && location !== null) {
      await response.body?.cancel()
      address = location
      base = url
      continue
    }
    return documentOf(response)
  }
  return { answer: 'refused', status: 0, code: 'too_many_redirects', message: `more than ${REDIRECTS_MAX} redirects` }
}

/** Reads the address as a place where a code may be stored, or undefined. Paths are compared after `..` is resolved. */
function documentUrl({ origin, hosts }: DocumentCall, address: string, base: URL | undefined): URL | undefined {
  if (!URL.canParse(address, base?.href)) return undefined
  const url = new URL(address, base)
  const known = url.protocol === origin.protocol && hosts.includes(url.host) && url.username === '' && url.password === ''
  return known && url.pathname.startsWith('/charges/') ? url : undefined
}

async function documentOf(response: Response): Promise<Answer<Uint8Array>> {
  const { status } = response
  if (status !== 200) await response.body?.cancel()
  if (status === 429) return none('rate limited', 'too many requests')
  if (status >= 500) return none('server error', `status ${status}`)
  if (status >= 400) return { answer: 'refused', status, code: 'no_document', message: `status ${status}` }
  if (status !== 200) return none('unreadable answer', `status ${status}`)
  const bytes = await boundedBytes(response)
  if (bytes === undefined) {
    return { answer: 'refused', status, code: 'document_too_large', message: `more than ${ANSWER_BYTES_MAX} bytes` }
  }
  return { answer: 'ok', value: bytes }
}
