/**
 * A shop for the tests: a sandbox on a free port, its clock, a client, and an endpoint that hears webhooks.
 */
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach } from 'vitest'
import { createSandbox, type Sandbox, type SandboxOptions } from '../../../cloud/sandbox/sandbox.js'

/** Answers are read loosely here: the tests say what must be in them. */
export type Json = ReturnType<typeof JSON.parse>

export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  readonly json: Json
}

export interface Ask {
  readonly key?: string | null
  readonly form?: string
  readonly json?: unknown
  readonly version?: string
}

export interface Shop {
  readonly sandbox: Sandbox
  /** Moves the sandbox's clock on. */
  readonly pass: (ms: number) => void
  readonly clock: () => Date
  readonly ask: (method: string, path: string, ask?: Ask) => Promise<Answer>
  readonly newCharge: (form?: string) => Promise<Json>
  readonly payloadOf: (charge: Json) => Promise<string>
  readonly pay: (charge: Json, outcome?: string) => Promise<Answer>
}

const closers: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

export const later = (close: () => Promise<unknown>): void => void closers.push(close)

/** 2026-03-02 10:00:00.400 in Bangkok, 03:00 UTC. */
export const MORNING = Date.parse('2026-03-02T03:00:00.400Z')

export async function openShop(options: SandboxOptions = {}, startAt: number = MORNING): Promise<Shop> {
  let nowMs = startAt
  const sandbox = await createSandbox({ ...options, switches: { rawData: true, ...options.switches } }, { now: () => new Date(nowMs) })
  later(sandbox.close)
  const ask = askAt(sandbox.url)
  const newCharge = async (form = 'amount=2500&currency=THB&source[type]=alipayplus_mpm') => {
    const { json, status, text } = await ask('POST', '/charges', { form })
    if (status !== 200) throw new Error(text)
    return json
  }
  const payloadOf = async (charge: Json): Promise<string> => String((await ask('GET', `/charges/${charge.id}`)).json.source.scannable_code.raw_data)
  return {
    sandbox, ask, newCharge, payloadOf,
    clock: () => new Date(nowMs),
    pass: (ms) => { nowMs += ms },
    pay: async (charge, outcome = 'paid') => ask('POST', '/sandbox/wallet/pay', { key: null, json: { payload: await payloadOf(charge), outcome } }),
  }
}

export const askAt = (url: string) => async (method: string, path: string, { key = 'skey_test_sandbox', form, json, version }: Ask = {}): Promise<Answer> => {
  const headers: Record<string, string> = {}
  if (key !== null) headers['authorization'] = `Basic ${Buffer.from(`${key}:`).toString('base64')}`
  if (version !== undefined) headers['omise-version'] = version
  if (form !== undefined) headers['content-type'] = 'application/x-www-form-urlencoded'
  if (json !== undefined) headers['content-type'] = 'application/json'
  const body = form ?? (json === undefined ? null : JSON.stringify(json))
  const response = await fetch(new URL(path, url), { method, headers, body, redirect: 'manual', signal: AbortSignal.timeout(10_000) })
  const text = await response.text()
  return { status: response.status, headers: response.headers, text, json: text.startsWith('{') ? JSON.parse(text) : undefined }
}

export interface Heard {
  readonly headers: IncomingHttpHeaders
  readonly body: string
  readonly json: Json
}

export interface Ear {
  readonly url: string
  readonly heard: Heard[]
  readonly keys: () => string[]
  /** What it answers, one after the other; 200 when there is nothing more. */
  readonly answers: number[]
}

export async function openEar(): Promise<Ear> {
  const heard: Heard[] = []
  const answers: number[] = []
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk)).on('end', () => {
      const body = Buffer.concat(chunks).toString()
      heard.push({ headers: request.headers, body, json: JSON.parse(body) })
      response.writeHead(answers.shift() ?? 200).end()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  later(async () => { server.closeAllConnections(); await new Promise((resolve) => server.close(resolve)) })
  const { port } = server.address() as AddressInfo // listening on TCP, so it has one
  return { url: `http://127.0.0.1:${port}/hooks`, heard, answers, keys: () => heard.map(({ json }) => json.key).sort() }
}
