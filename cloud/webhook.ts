/**
 * Webhooks of the Omise API: is it really theirs, and which charge should we look at? Fails closed.
 * A genuine one is a reason to read the charge, never evidence: of its body only names are used, no status and no amount.
 */
import { createHmac, timingSafeEqual } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import type { Logger } from 'pino'

/** The largest body, in bytes. */
export const WEBHOOK_BYTES_MAX = 65_536

/** Nesting of objects and arrays in a body. */
const DEPTH_MAX = 32

/** Signatures in one header: two during a rotation (omise-api.md, section 5), and some room. */
const SIGNATURES_MAX = 8

const NAME_LENGTH_MAX = 64

/** What a webhook tells us to look at. */
export interface Hint {
  readonly event: string
  /** charge.complete, charge.expire, refund.create ...; an open set. */
  readonly key: string
  readonly objectKind: string
  readonly objectId: string
  /** The charge to read: the object itself, or the one a refund or dispute names. */
  readonly charge: string | undefined
  readonly livemode: boolean | undefined
}

export type WebhookRefusal =
  | 'no secret' | 'no signature' | 'too many signatures' | 'wrong signature'
  | 'no timestamp' | 'timestamp outside the window'
  | 'body too large' | 'wrong content type' | 'malformed body' | 'other mode'

export type WebhookVerdict =
  | { readonly verdict: 'genuine' }
  | { readonly verdict: 'refused'; readonly reason: WebhookRefusal }

export type Header = string | readonly string[] | undefined

export interface WebhookEvidence {
  /** Omise-Signature: hexadecimal HMAC-SHA256, comma-separated while a secret is being rotated. */
  readonly signatureHeader: Header
  /** Omise-Signature-Timestamp: Unix seconds. */
  readonly timestampHeader: Header
  /** The bytes as they came; a body that was parsed and written again is another body. */
  readonly rawBody: Buffer
  readonly secrets: readonly Buffer[]
  readonly now: Date
  /** Default 300, to either side. */
  readonly toleranceSeconds?: number
}

/** Pure. The signed text is `<timestamp>.<raw body>`, the key the decoded secret (omise-api.md, section 5). */
export function verifyWebhook(evidence: WebhookEvidence): WebhookVerdict {
  const { rawBody, secrets, now, toleranceSeconds = 300 } = evidence
  if (secrets.length === 0 || secrets.some((secret) => secret.byteLength === 0)) return refused('no secret')
  if (rawBody.byteLength > WEBHOOK_BYTES_MAX) return refused('body too large')

  const signatures = textOf(evidence.signatureHeader).split(',').map((text) => text.trim()).filter((text) => text !== '')
  if (signatures.length === 0) return refused('no signature')
  if (signatures.length > SIGNATURES_MAX) return refused('too many signatures')
  const timestamp = textOf(evidence.timestampHeader)
  if (!/^[0-9]{1,12}$/.test(timestamp)) return refused('no timestamp')

  const expected = secrets.map((secret) => createHmac('sha256', secret).update(`${timestamp}.`).update(rawBody).digest())
  const given = signatures.filter((text) => /^[0-9a-f]{64}$/i.test(text)).map((text) => Buffer.from(text, 'hex'))
  // Every pair is compared, whatever the first ones gave: the time taken tells nothing.
  const matches = given.flatMap((one) => expected.map((other) => timingSafeEqual(one, other)))
  if (!matches.includes(true)) return refused('wrong signature')

  const ageSeconds = now.getTime() / 1000 - Number(timestamp)
  if (!(Math.abs(ageSeconds) <= toleranceSeconds)) return refused('timestamp outside the window')
  return { verdict: 'genuine' }
}

/** The names in an event, or undefined when it is none. Reads own fields only, and nothing nested deeper than it must be. */
export function readHint(rawBody: Buffer): Hint | undefined {
  if (rawBody.byteLength > WEBHOOK_BYTES_MAX || !isShallow(rawBody)) return undefined
  let event: unknown
  try {
    event = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(rawBody))
  } catch {
    return undefined
  }
  const data = own(event, 'data')
  const hint = {
    event: name(own(event, 'id')),
    key: name(own(event, 'key')),
    objectKind: name(own(data, 'object')),
    objectId: name(own(data, 'id')),
  }
  const { event: id, key, objectKind, objectId } = hint
  if (own(event, 'object') !== 'event' || id === undefined || key === undefined) return undefined
  if (objectKind === undefined || objectId === undefined) return undefined
  const livemode = own(event, 'livemode')
  return {
    event: id,
    key,
    objectKind,
    objectId,
    charge: objectKind === 'charge' ? objectId : name(own(data, 'charge')),
    livemode: typeof livemode === 'boolean' ? livemode : undefined,
  }
}

/** Decodes the secrets as the dashboard shows them (base64). Throws when there is none, or one that is empty or broken. */
export function webhookSecrets(texts: readonly string[]): readonly Buffer[] {
  const secrets = texts.map((text) => {
    const base64 = text.trim()
    const strict = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(base64)
    return strict ? Buffer.from(base64, 'base64') : Buffer.alloc(0)
  })
  requireSecrets(secrets)
  return secrets
}

export type WebhookSetupErrorCode = 'WEBHOOK_SECRET_MISSING'

export class WebhookSetupError extends Error {
  override readonly name = 'WebhookSetupError'
  readonly code: WebhookSetupErrorCode

  constructor(code: WebhookSetupErrorCode, message: string) {
    super(message)
    this.code = code
  }
}

export interface WebhookRoute {
  readonly path: string
  /** One, or two during a rotation. See webhookSecrets. */
  readonly secrets: readonly Buffer[]
  readonly now: () => Date
  /** When given, an event of the other mode is refused even if it is signed. */
  readonly livemode?: boolean
  /** Called once a genuine delivery, which may come twice, late or out of order. Not awaited. */
  readonly onHint: (hint: Hint) => void
  readonly onRefused: (reason: WebhookRefusal) => void
  readonly log: Logger
}

/** Adds POST `path`, shut off from the other routes: its body parser and error answers are its own. */
export function webhookRoute(app: FastifyInstance, route: WebhookRoute): void {
  requireSecrets(route.secrets)
  const { path, secrets, now, livemode, onHint, onRefused, log } = route
  const refuse = (reason: WebhookRefusal): void => {
    log.warn({ reason }, 'webhook refused')
    onRefused(reason)
  }

  void app.register((scope, _options, done) => {
    scope.removeAllContentTypeParsers()
    scope.addContentTypeParser('application/json', { parseAs: 'buffer', bodyLimit: WEBHOOK_BYTES_MAX },
      (_request, body, parsed) => { parsed(null, body) })

    scope.setErrorHandler((error: { readonly statusCode?: number }, _request, reply) => {
      const status = error.statusCode ?? 500
      if (status === 415) refuse('wrong content type')
      else if (status === 413) refuse('body too large')
      else if (status < 500) refuse('malformed body')
      else log.error({ err: error }, 'webhook failed')
      return reply.code(status).send({})
    })

    scope.post(path, { bodyLimit: WEBHOOK_BYTES_MAX }, (request, reply) => {
      const { headers } = request
      // A request without a body passes no parser: it has nothing that could have been signed.
      const rawBody = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0)
      const outcome = verifyWebhook({
        signatureHeader: headers['omise-signature'],
        timestampHeader: headers['omise-signature-timestamp'],
        rawBody,
        secrets,
        now: now(),
      })
      if (outcome.verdict === 'refused') {
        refuse(outcome.reason)
        return reply.code(401).send({})
      }
      const hint = readHint(rawBody)
      if (hint === undefined || (livemode !== undefined && hint.livemode !== livemode)) {
        refuse(hint === undefined ? 'malformed body' : 'other mode')
        return reply.code(400).send({})
      }
      onHint(hint)
      log.info({ event: hint.event, key: hint.key, charge: hint.charge }, 'webhook heard')
      return reply.code(200).send({})
    })
    done()
  })
}

const refused = (reason: WebhookRefusal): WebhookVerdict => ({ verdict: 'refused', reason })

function requireSecrets(secrets: readonly Buffer[]): void {
  if (secrets.length === 0) {
    throw new WebhookSetupError('WEBHOOK_SECRET_MISSING', 'no webhook secret: nothing could be believed')
  }
  const index = secrets.findIndex((secret) => secret.byteLength === 0)
  if (index >= 0) {
    throw new WebhookSetupError('WEBHOOK_SECRET_MISSING', `webhook secret ${index + 1} is empty or not base64`)
  }
}

const textOf = (header: Header): string => (typeof header === 'string' ? header : (header ?? []).join(',')).trim()

/** Brackets outside of strings, counted over the bytes: they are the same in any UTF-8 text. */
function isShallow(json: Buffer): boolean {
  let depth = 0
  let inString = false
  for (let index = 0; index < json.byteLength; index += 1) {
    const byte = json[index]
    if (inString) {
      if (byte === 0x5c) index += 1
      else if (byte === 0x22) inString = false
    } else if (byte === 0x22) inString = true
    else if (byte === 0x7b || byte === 0x5b) depth += 1
    else if (byte === 0x7d || byte === 0x5d) depth -= 1
    if (depth > DEPTH_MAX) return false
  }
  return true
}

/** A field that the sender wrote, not one that every object inherits. */
function own(value: unknown, field: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, field)) return undefined
  return Object.getOwnPropertyDescriptor(value, field)?.value
}

const name = (value: unknown): string | undefined =>
  typeof value === 'string' && value.length <= NAME_LENGTH_MAX && /^[A-Za-z0-9_.]+$/.test(value) ? value : undefined
