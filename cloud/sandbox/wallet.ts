/**
 * The customer's phone, the bank behind it, and the switches: routes under /sandbox, no part of Omise.
 * They take no key and move (pretended) money: never expose a sandbox to a network. Only JSON is read here, so that a
 * web page elsewhere cannot post to them unasked.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import type { Account } from './account.js'
import { type ChargeRecord, showMoment } from './objects.js'
import type { Operations } from './operations.js'
import { prettyJson } from './pretty-json.js'
import type { changeSwitches, Switches } from './switches.js'
import { OUTCOMES } from './transitions.js'

export interface WalletWorld {
  readonly account: Account
  readonly operations: Operations
  readonly merchant: string
  readonly switches: () => Switches
  readonly change: (wanted: unknown) => ReturnType<typeof changeSwitches>
  readonly pause: (ms: number) => Promise<void>
}

const Scan = z.strictObject({ payload: z.string().min(1).max(1_024) })
const Pay = z.strictObject({ payload: z.string().min(1).max(1_024), outcome: z.enum(OUTCOMES).default('paid') })

export function addWalletRoutes(server: FastifyInstance, { account, operations, merchant, switches, change, pause }: WalletWorld): void {
  const open = { config: { key: 'none' } } as const
  const seen = (charge: ChargeRecord) => ({
    charge: charge.id,
    amount: charge.amount,
    currency: charge.currency,
    status: charge.state.status,
    merchant,
    expires_at: showMoment(charge.expiresAt),
  })

  server.get('/sandbox/health', open, (_request, reply) => send(reply, 200, { status: 'ok', country: account.country }))
  server.get('/sandbox/switches', open, (_request, reply) => send(reply, 200, switches()))
  server.patch('/sandbox/switches', open, (request, reply) => {
    const changed = isJson(request) ? change(request.body) : { problems: [JSON_ONLY] }
    return 'switches' in changed ? send(reply, 200, changed.switches) : complain(reply, 400, changed.problems)
  })

  server.post('/sandbox/wallet/scan', open, (request, reply) => {
    const wanted = read(request, Scan)
    if ('problems' in wanted) return complain(reply, 400, wanted.problems)
    const charge = operations.scan(wanted.value.payload)
    return charge === undefined ? complain(reply, 404, [UNKNOWN_CODE]) : send(reply, 200, seen(charge))
  })

  server.post('/sandbox/wallet/pay', open, async (request, reply) => {
    const wanted = read(request, Pay)
    if ('problems' in wanted) return complain(reply, 400, wanted.problems)
    const { payload, outcome } = wanted.value
    const charge = operations.scan(payload)
    if (charge === undefined) return complain(reply, 404, [UNKNOWN_CODE])
    await pause(switches().bankDelayMs)
    operations.sweep()
    const settled = operations.pay(charge, outcome)
    if (settled === undefined) {
      return complain(reply, 409, [`charge ${charge.id} cannot be paid: it is ${operations.scan(payload)?.state.status ?? 'gone'}`])
    }
    const { status, failure_code } = settled
    return send(reply, 200, { ...seen(charge), status, failure_code })
  })
}

const JSON_ONLY = 'the body must be application/json'
const UNKNOWN_CODE = 'no charge has this code'

const isJson = (request: FastifyRequest): boolean => (request.headers['content-type'] ?? '').startsWith('application/json')

function read<T>(request: FastifyRequest, schema: z.ZodType<T>): { readonly value: T } | { readonly problems: readonly string[] } {
  if (!isJson(request)) return { problems: [JSON_ONLY] }
  const parsed = schema.safeParse(request.body)
  return parsed.success ? { value: parsed.data } : { problems: parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`) }
}

const send = (reply: FastifyReply, status: number, body: unknown): FastifyReply =>
  reply.code(status).type('application/json; charset=utf-8').send(prettyJson(body))

const complain = (reply: FastifyReply, status: number, problems: readonly string[]): FastifyReply =>
  send(reply, status, { problems })
