/**
 * Tells the merchant: signs an event and posts it, as often and as late as the switches say, and records each attempt.
 * Nothing here survives a restart: a webhook is not guaranteed, at Omise neither (omise-api.md, section 5).
 */
import { createHmac } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import { type DeliveryRecord, type EventRecord, showEvent } from './objects.js'
import { prettyJson } from './pretty-json.js'
import type { Switches } from './switches.js'

export interface Webhooks {
  /** Returns at once; the posting goes on by itself. */
  send(event: EventRecord, endpoints: readonly string[]): void
  /** Resolves when nothing is waiting or under way. */
  settled(): Promise<void>
  /** Gives up everything still waiting. */
  close(): Promise<void>
}

export interface WebhookWorld {
  /** Base64, the newest first; two during a rotation. */
  readonly secrets: readonly string[]
  readonly switches: () => Switches
  readonly now: () => Date
  readonly log: Logger
  readonly record: (delivery: Omit<DeliveryRecord, 'id'>) => void
}

/** Webhooks waiting or under way at once; beyond that they are lost, with a warning. */
const UNDER_WAY_MAX = 1_000
const SHUFFLE_MS = 500

export function createWebhooks(world: WebhookWorld): Webhooks {
  const closing = new AbortController()
  const underWay = new Set<Promise<void>>()
  let sent = 0

  const post = async (event: EventRecord, uri: string, body: string): Promise<boolean> => {
    const { webhookTimeoutMs } = world.switches()
    const startedAt = performance.now()
    const at = world.now()
    let status: number | null = null
    let error: string | null = null
    try {
      const response = await fetch(uri, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', 'User-Agent': 'Omise/1.0', ...signatureHeaders(world, at, body) },
        body,
        redirect: 'manual',
        signal: AbortSignal.any([closing.signal, AbortSignal.timeout(webhookTimeoutMs)]),
      })
      status = response.status
      await response.body?.cancel()
    } catch (cause) {
      // An endpoint that cannot be reached is a fact about the merchant: it goes into the record of deliveries.
      error = describeFault(cause)
    }
    if (closing.signal.aborted) return true
    world.record({ event: event.id, key: event.key, uri, status, error, payload: body, createdAt: at.getTime() })
    const durationMs = Math.round(performance.now() - startedAt)
    const about = { key: event.key, charge: event.charge, event: event.id, status, durationMs }
    if (error === null) world.log.info(about, 'webhook delivered')
    else world.log.warn({ ...about, error }, 'webhook failed')
    return status !== null && status >= 200 && status < 300
  }

  const deliver = async (event: EventRecord, uri: string, heldBackMs: number): Promise<void> => {
    const { webhookDelayMs } = world.switches()
    const body = prettyJson(showEvent(event, []))
    if (webhookDelayMs + heldBackMs > 0) await sleep(webhookDelayMs + heldBackMs, undefined, { signal: closing.signal })
    for (let attempt = 0; !(await post(event, uri, body)); attempt++) {
      const { webhookRetries, webhookRetryAfterMs } = world.switches()
      if (attempt >= webhookRetries) return
      await sleep(webhookRetryAfterMs, undefined, { signal: closing.signal })
    }
  }

  const start = (event: EventRecord, uri: string, heldBackMs: number): void => {
    if (underWay.size >= UNDER_WAY_MAX) {
      world.log.warn({ key: event.key, charge: event.charge }, 'webhook lost, too many under way')
      return
    }
    const delivery: Promise<void> = deliver(event, uri, heldBackMs)
      .catch((cause: unknown) => {
        if (!closing.signal.aborted) world.log.error({ err: cause, charge: event.charge }, 'webhook gave up')
      })
      .finally(() => underWay.delete(delivery))
    underWay.add(delivery)
  }

  const settled = async (): Promise<void> => {
    while (underWay.size > 0) await Promise.all(underWay)
  }

  return {
    send: (event, endpoints) => {
      const { webhooks, webhookOrder } = world.switches()
      for (const uri of new Set(endpoints)) {
        const heldBackMs = webhookOrder === 'shuffled' && sent++ % 2 === 0 ? SHUFFLE_MS : 0
        switch (webhooks) {
          case 'lose': break
          case 'deliver': start(event, uri, heldBackMs); break
          case 'duplicate': start(event, uri, heldBackMs); start(event, uri, heldBackMs); break
        }
      }
    },
    settled,
    close: async () => {
      closing.abort()
      await settled()
    },
  }
}

/** Lower-case hex, one for each secret, joined by commas: HMAC-SHA256 over '<timestamp>.<body>', keyed with the decoded secret. */
export const sign = (secrets: readonly string[], timestamp: string, body: string): string =>
  secrets.map((secret) => createHmac('sha256', Buffer.from(secret, 'base64')).update(`${timestamp}.${body}`).digest('hex')).join(',')

function signatureHeaders({ secrets, switches }: WebhookWorld, at: Date, body: string): Readonly<Record<string, string>> {
  const { signature, rotation } = switches()
  const timestamp = String(Math.floor(at.getTime() / 1_000))
  const used = rotation === 'over' ? secrets.slice(0, 1) : secrets
  switch (signature) {
    case 'missing': return {}
    case 'valid': return { 'Omise-Signature': sign(used, timestamp, body), 'Omise-Signature-Timestamp': timestamp }
    case 'wrong': return { 'Omise-Signature': sign(used, timestamp, `${body} `), 'Omise-Signature-Timestamp': timestamp }
  }
}

function describeFault(cause: unknown): string {
  if (!(cause instanceof Error)) return 'unknown fault'
  const inner = cause.cause
  return inner instanceof Error ? `${cause.message}: ${inner.message}` : cause.message
}
