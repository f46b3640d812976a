/**
 * The bench page in a real browser: Debian's Chromium, a real bench server, a terminal's real driver, and a wallet that
 * is a small HTTP server of the sandbox's two routes. Leaves pictures of the page in out/.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { createServer, request, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { type Browser, chromium, type Page } from 'playwright-core'
import { pino } from 'pino'
import { SerialPort } from 'serialport'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { createRenderer } from '../../device/render.js'
import type { View } from '../../device/view.js'
import { type Bench, openBench } from '../../drivers/bench.js'
import { type Input, type PanelSize, strideBytes } from '../../drivers/driver.js'
import { type BenchServer, type BenchServerOptions, createBenchServer } from '../../scripts/bench-page/server.js'

const CHROMIUM = '/usr/bin/chromium'
const PICTURES = 'out'
const size: PanelSize = { widthPx: 400, heightPx: 300, pitchMm: 0.212 }
const log = pino({ level: 'silent' })
const { render } = createRenderer({
  size, shopName: 'Baan Suan Coffee', language: 'en', country: 'TH', currency: 'THB', method: 'alipayplus_mpm',
})

const payload = 'https://qr.sandbox.example/a/281006040012RxVbW5pQe7uN2mTz9LkA'
const amount = { minor: 2500, currency: 'THB' } as const
const idle: View = { screen: 'enter amount', digits: '', lamps: 'ready' }
const typed: View = { screen: 'enter amount', digits: '2500', lamps: 'ready' }
const code: View = {
  screen: 'scan to pay', amount, reference: 'K7RM4X', payload, method: 'alipayplus_mpm', secondsLeft: 120, lamps: 'waiting',
}
const paid: View = { screen: 'paid', amount, reference: 'K7RM4X', lamps: 'paid' }

let browser: Browser
let wallet: Wallet
let server: BenchServer
let terminal: Bench
let keys: Input[]
let page: Page
let pageProblems: string[]
const cleanUps: (() => Promise<void>)[] = []

beforeAll(async () => {
  if (!existsSync(CHROMIUM)) throw new Error(`${CHROMIUM} is missing: install Debian's package chromium (scripts/test.sh does)`)
  await mkdir(PICTURES, { recursive: true })
  browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--headless=new'] })
})
afterAll(async () => { await browser?.close() })

beforeEach(async () => {
  wallet = await openWallet()
  await start({})
})
afterEach(async () => {
  await page.context().close()
  await terminal.close()
  await server.close()
  await wallet.close()
  for (const cleanUp of cleanUps.splice(0)) await cleanUp()
})

describe('a visitor of the bench page', () => {
  it('presses keys with the mouse, and the terminal feels them in order', async () => {
    for (const key of ['2', '5', '0', '0']) await page.click(`.key[data-key="${key}"]`)
    await page.click('.key[data-key="clear"]')
    await page.click('.key[data-key="enter"]')
    await page.click('.key[data-key="cancel"]')
    await until(() => keys.length === 7)
    expect(keys).toEqual([
      ...['2', '5', '0', '0'].map((digit) => ({ type: 'digit pressed', digit })),
      { type: 'clear pressed' }, { type: 'enter pressed' }, { type: 'cancel pressed' },
    ])
  })

  it('types on the keyboard instead, and Enter after a click still means OK', async () => {
    await page.click('.key[data-key="4"]')
    for (const key of ['2', 'Backspace', '7', 'Enter', 'Escape', 'x', 'Control+5']) await page.keyboard.press(key)
    await until(() => keys.length === 6)
    expect(keys.map((input) => input.type === 'digit pressed' ? input.digit : input.type)).toEqual(
      ['4', '2', 'clear pressed', '7', 'enter pressed', 'cancel pressed'])
  })

  it('reaches a key with Tab and presses it with Enter', async () => {
    await page.focus('.key[data-key="8"]')
    await page.keyboard.press('Enter')
    await until(() => keys.length === 1)
    expect(keys).toEqual([{ type: 'digit pressed', digit: '8' }])
  })

  it('sees on the panel exactly the dots that the terminal drew', async () => {
    await draw(code)
    const dark = await page.evaluate(`(() => {
      const panel = document.getElementById('panel')
      const { data } = panel.getContext('2d').getImageData(0, 0, panel.width, panel.height)
      let text = ''
      for (let i = 0; i < data.length; i += 4) text += data[i] + data[i + 1] + data[i + 2] < 384 ? '1' : '0'
      return panel.width + 'x' + panel.height + ':' + text
    })()`)
    expect(dark === `400x300:${dotsOf(code)}`).toBe(true)
    const shown = await page.locator('#panel').boundingBox()
    expect([shown?.width, shown?.height]).toEqual([400, 300])   // One dot is one pixel of this screen.
  })

  it('sees the latest picture, lamps and timeline when it comes later', async () => {
    server.timeline({ at: 5, from: 'gateway', to: 'terminal', text: 'an offer, sealed' })
    await draw(paid)
    await page.reload()
    await page.waitForSelector('#panel[data-number]')
    await page.waitForSelector('#lamps[data-pattern="paid"]')
    expect(await page.textContent('.entry .text')).toBe('an offer, sealed')
  })

  it('reads beside the lamps what they do, in words', async () => {
    const words: Record<string, string> = {}
    for (const pattern of ['ready', 'waiting', 'checking', 'not paid', 'out of service', 'paid'] as const) {
      terminal.lamps.show(pattern)
      await page.waitForSelector(`#lightbar[data-pattern="${pattern}"]`, { state: 'attached' })
      words[pattern] = await page.textContent('#lamps span') ?? ''
    }
    expect(words).toEqual({
      'ready': 'Ready, steady, dim', 'waiting': 'Waiting for payment, once a second, long', 'checking': 'Checking, twice a second',
      'not paid': 'Not paid, two short', 'out of service': 'Out of service, three short, then a pause', 'paid': 'Paid, steady',
    })
  })

  it('is told when the terminal goes, and that keys are of no use then', async () => {
    await terminal.close()
    await page.waitForSelector('#link[data-state="waiting"]')
    await page.click('.key[data-key="1"]')
    expect(await page.textContent('#hint')).toContain('The terminal is not running')
    expect(await page.getAttribute('#lightbar', 'data-pattern')).toBe('off')
  })

  it('is told when the bench goes, and comes back by itself', async () => {
    const port = Number(new URL(server.url).port)
    await server.close()
    await page.waitForSelector('#banner:not([hidden])')
    server = await createBenchServer({ port, sandboxUrl: wallet.url, log })
    await page.waitForSelector('#banner[hidden]', { state: 'attached' })
    await page.waitForSelector('#link[data-state="here"]')
    await draw(typed)
    expect(pageProblems.filter((problem) => !problem.includes('ERR_CONNECTION_REFUSED'))).toEqual([])
    pageProblems.length = 0
  })

  it('finds text from outside shown as text', async () => {
    server.timeline({ at: 1, from: '<b>x</b>', to: 'terminal', text: '<img src=x onerror="document.title=1">' })
    await page.waitForSelector('.entry')
    expect(await page.textContent('.entry .text')).toBe('<img src=x onerror="document.title=1">')
    expect(await page.locator('.entry img, .entry b').count()).toBe(0)
  })
})

describe('the phone', () => {
  it('sees no code where there is none', async () => {
    await draw(idle)
    await page.click('#scan')
    await pageSays(`document.getElementById('scan-say').textContent === 'No code in sight'`)
    expect(wallet.asked).toEqual([])
  })

  it('reads the code from the panel\'s pixels and pays exactly that', async () => {
    await draw(code)
    await page.click('#scan')
    await page.waitForSelector('[data-for="bill"] [data-outcome="paid"]', { state: 'visible' })
    expect(await page.textContent('#merchant')).toBe('Baan Suan Coffee')
    expect(await page.textContent('#sum')).toBe('THB 25.00')
    await page.click('[data-outcome="paid"]')
    await page.waitForSelector('#done', { state: 'visible' })
    expect(await page.textContent('#result-title')).toBe('Paid')
    expect(wallet.asked).toEqual([
      { route: '/sandbox/wallet/scan', payload },
      { route: '/sandbox/wallet/pay', payload, outcome: 'paid' },
    ])
    const told = await page.locator('.entry .text').allTextContents()
    expect(told).toEqual(['reads the panel: THB 25.00 for Baan Suan Coffee', 'pays on the phone'])
  })

  it.each([
    ['payment_rejected', 'Rejected'], ['insufficient_fund', 'Not enough money'], ['failed_processing', 'Bank error'],
  ])('can also end with %s', async (outcome, title) => {
    await draw(code)
    await page.click('#scan')
    await page.click(`[data-outcome="${outcome}"]`)
    await page.waitForSelector('#done', { state: 'visible' })
    expect(await page.textContent('#result-title')).toBe(title)
    expect(wallet.asked.at(-1)).toEqual({ route: '/sandbox/wallet/pay', payload, outcome })
    await page.click('#done')
    await page.waitForSelector('#scan', { state: 'visible' })
  })

  it('does not offer to pay a code that is already paid', async () => {
    wallet.bill.status = 'successful'
    await draw(code)
    await page.click('#scan')
    await page.waitForSelector('#back', { state: 'visible' })
    expect(await page.textContent('#bill-say')).toBe('This code has already been paid.')
    expect(await page.isDisabled('[data-outcome="paid"]')).toBe(true)
  })

  it('says so when the wallet does not know the code, refuses it, or cannot be reached', async () => {
    await draw(code)
    const said = async (): Promise<string | null> => {
      await page.click('#scan')
      await page.waitForSelector('#scan-say.alarm')
      return page.textContent('#scan-say')
    }
    wallet.status = 404
    expect(await said()).toBe('The wallet does not know this code.')
    wallet.status = 200
    await page.click('#scan')
    await page.waitForSelector('[data-for="bill"]', { state: 'visible' })
    wallet.status = 409
    await page.click('[data-outcome="paid"]')
    await page.waitForSelector('#done', { state: 'visible' })
    expect(await page.textContent('#result-say')).toBe('This code can no longer be paid.')
    await page.click('#done')
    wallet.status = 200
    await page.click('#scan')
    await page.waitForSelector('[data-for="bill"]', { state: 'visible' })
    await wallet.close()
    await page.click('[data-outcome="paid"]')
    await page.waitForSelector('#done', { state: 'visible' })
    expect(await page.textContent('#result-title')).toBe('Not confirmed')
    expect(await page.textContent('#result-say')).toBe('No word from the wallet. Look at the terminal before paying again.')
    await page.click('#done')
    expect(await said()).toBe('The wallet cannot be reached. Try again.')
    pageProblems.length = 0   // The browser also notes every refusal on its console.
  })
})

describe('the cash register on the page', () => {
  it('is not there unless there is a cable', async () => {
    expect(await page.isVisible('#register')).toBe(false)
  })

  it('sends the amount down the cable and shows what the terminal answers', async () => {
    const cable = await layCable()
    await restart({ registerPath: cable.registerEnd, story: 'Baan Suan Coffee · Alipay+ · THB' })
    expect(await page.textContent('#story')).toBe('Baan Suan Coffee · Alipay+ · THB')
    expect(await page.textContent('#register-path')).toBe(cable.registerEnd)
    await page.fill('#ring-amount', '150.00')
    await page.click('#ring-up')
    await until(() => cable.heard() === '150.00\r\n')
    expect(keys).toEqual([])   // What is typed into the register is not typed on the keypad.
    cable.say('OK 150.00 01931e7c-0000-7000-8000-000000000001 chrg_test_1\r\n')
    await pageSays(`document.getElementById('register-said').textContent.endsWith('chrg_test_1')`)
    await page.fill('#ring-amount', '1,50')
    await page.press('#ring-amount', 'Enter')
    await pageSays(`document.getElementById('register-said').textContent.endsWith('An amount looks like 150.00.')`)
    expect(cable.heard()).toBe('150.00\r\n')
    pageProblems.length = 0   // The browser also notes the refusal.
  })

  it('says so when the cable is not there', async () => {
    await restart({ registerPath: '/dev/no-such-cable' })
    await page.click('#ring-up')
    await pageSays(`document.getElementById('register-said').textContent.endsWith('/dev/no-such-cable is not there.')`)
    pageProblems.length = 0
  })
})

describe('the timeline', () => {
  it('shows who said what to whom and when, newest in sight', async () => {
    const start = Date.UTC(2026, 10, 23, 9, 30, 0, 250)
    for (let i = 0; i < 40; i += 1) server.timeline({ at: start + i * 12, from: 'terminal', to: 'gateway', text: `message ${i}` })
    await pageSays(`document.querySelectorAll('.entry').length === 40`)
    const last = page.locator('.entry').last()
    expect(await last.locator('time').textContent()).toBe('09:30:00.718')
    expect(await last.locator('.gap').textContent()).toBe('+12 ms')
    expect(await last.locator('.who').textContent()).toBe('Terminal → Gateway')
    expect(await page.locator('#lane-names span').allTextContents()).toEqual(['Terminal', 'Gateway'])
    await pageSays(`document.querySelector('.entry:last-child').getBoundingClientRect().bottom
      <= document.getElementById('entries').getBoundingClientRect().bottom + 1`)
  })

  it('puts what is heard late where it belongs', async () => {
    for (const at of [10, 30, 20]) server.timeline({ at, from: 'terminal', to: 'gateway', text: `at ${at}` })
    server.timeline({ at: 25, from: 'ledger', to: 'gateway', text: 'at 25' })
    const texts = page.locator('.entry .text')
    await until(async () => await texts.count() === 4)
    expect(await texts.allTextContents()).toEqual(['at 10', 'at 20', 'at 25', 'at 30'])
    await page.reload()
    await until(async () => await texts.count() === 4)
    expect(await texts.allTextContents()).toEqual(['at 10', 'at 20', 'at 25', 'at 30'])
  })

  it('keeps the last five hundred', async () => {
    for (let i = 0; i < 520; i += 1) server.timeline({ at: i, from: 'terminal', to: 'gateway', text: `message ${i}` })
    await pageSays(`document.querySelector('.entry:last-child .text')?.textContent === 'message 519'`)
    const count = async (): Promise<string> => `${await page.locator('.entry').count()}: ${await page.textContent('.entry .text')}`
    expect(await count()).toBe('500: message 20')
    await page.reload()
    await pageSays(`document.querySelector('.entry:last-child .text')?.textContent === 'message 519'`)
    expect(await count()).toBe('500: message 20')
  })
})

describe('strangers', () => {
  it('may neither scan nor pay from another site', async () => {
    const ask = (headers: Record<string, string>) => fetch(`${server.url}/phone/pay`, {
      method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify({ payload, outcome: 'paid' }),
    })
    expect((await ask({ origin: 'https://evil.example' })).status).toBe(403)
    expect((await ask({})).status).toBe(403)
    expect(wallet.asked).toEqual([])
    expect((await ask({ origin: server.url })).status).toBe(200)
  })

  it('may not listen or press from another site, nor play the terminal from any', async () => {
    expect(await upgrade('/live', 'https://evil.example')).toBe(403)
    expect(await upgrade('/live')).toBe(403)
    expect(await upgrade('/hardware', server.url)).toBe(403)
    expect(await upgrade('/elsewhere', server.url)).toBe(403)
    expect(await upgrade('/live', server.url)).toBe('open')
  })

  it('get nothing under a name that is not ours', async () => {
    const { hostname, port } = new URL(server.url)
    const asking = request({ hostname, port, path: '/', headers: { host: `evil.example:${port}` } }).end()
    const [response] = await once(asking, 'response')
    response.resume()
    expect(response.statusCode).toBe(403)
  })

  it('get the listed files and no other, under a policy that allows nothing inline', async () => {
    const types: Record<string, string | null> = {}
    for (const path of ['/', '/bench.css', '/bench.js', '/vendor/qr/decode.js', '/vendor/qr/index.js']) {
      const response = await fetch(server.url + path)
      types[path] = response.headers.get('content-type')
      expect(response.headers.get('content-security-policy')).toContain("default-src 'none'; script-src 'self'; style-src 'self'")
    }
    expect(types).toEqual({
      '/': 'text/html; charset=utf-8', '/bench.css': 'text/css; charset=utf-8', '/bench.js': 'text/javascript; charset=utf-8',
      '/vendor/qr/decode.js': 'text/javascript; charset=utf-8', '/vendor/qr/index.js': 'text/javascript; charset=utf-8',
    })
    for (const path of ['/server.ts', '/page/index.html', '/vendor/qr/dom.js', '/..%2f..%2fpackage.json', '/vendor/qr/../../package.json']) {
      expect((await fetch(server.url + path)).status).toBe(404)
    }
  })

  it('change nothing with malformed messages, which are counted', async () => {
    const socket = new WebSocket(`${server.hardwareUrl}/live`, { origin: server.url })
    await once(socket, 'open')
    for (const message of ['{', '{"type":"press"}', '{"type":"press","input":{"type":"sale paid"}}', 'null']) socket.send(message)
    socket.send(new Uint8Array([1]))
    socket.send(JSON.stringify({ type: 'press', input: { type: 'enter pressed' } }))
    await until(() => keys.length === 1)
    expect(keys).toEqual([{ type: 'enter pressed' }])
    expect(server.ignored()).toBe(5)
    socket.terminate()
  })
})

describe('the page as a customer sees it', () => {
  it('has a portrait of every state, wide and narrow, with nothing cut off', async () => {
    await portrait('bench-page-idle', idle)
    story('until the code')
    await page.waitForSelector('.entry')
    await portrait('bench-page', code)
    await page.click('#scan')
    await page.waitForSelector('#merchant:visible')
    await portrait('bench-page-bill', code)
    await page.click('[data-outcome="paid"]')
    await page.waitForSelector('#done', { state: 'visible' })
    story('after the payment')
    await portrait('bench-page-paid', paid)
    await page.setViewportSize({ width: 390, height: 844 })
    await portrait('bench-page-phone', code)
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(390)
    await page.emulateMedia({ reducedMotion: 'reduce' })
    expect(await page.evaluate(`getComputedStyle(document.getElementById('lightbar'), '::after').animationName`)).toBe('none')
  })
})

/** What a demo tells, before and after the customer pays. */
function story(part: 'until the code' | 'after the payment'): void {
  const now = Date.now()
  const told = part === 'until the code' ? [
    { at: -93, from: 'Cashier', to: 'Terminal', text: 'keys 2500, OK' },
    { at: -89, from: 'Terminal', to: 'Gateway', text: 'please open sale K7RM4X of THB 25.00' },
    { at: -74, from: 'Gateway', to: 'Omise sandbox', text: 'please charge (the intent is on disk)' },
    { at: -52, from: 'Omise sandbox', to: 'Gateway', text: 'the charge is pending' },
    { at: -27, from: 'Gateway', to: 'Terminal', text: 'signed offer with the code\'s text' },
    { at: 0, from: 'Terminal', to: 'Panel', text: 'the code stands, read back from its own bits' },
  ] as const : [
    { at: 14, from: 'Omise sandbox', to: 'Gateway', text: 'webhook, signature good: a reason to look' },
    { at: 20, from: 'Gateway', to: 'Terminal', text: 'read the charge itself: paid; signed verdict sent', tone: 'money' },
    { at: 33, from: 'Terminal', to: 'Customer', text: 'PAID; the lamps say so too', tone: 'money' },
  ] as const
  for (const entry of told) server.timeline({ ...entry, at: now + entry.at })
}

async function portrait(name: string, view: View): Promise<void> {
  await draw(view)
  await page.waitForTimeout(1_200)   // Until fades have ended, so that pictures of two runs look alike.
  await page.screenshot({ path: `${PICTURES}/${name}.png`, fullPage: true })
}

/** Draws and lights, and waits until the page shows both. */
async function draw(view: View): Promise<void> {
  const before = await page.getAttribute('#panel', 'data-number')
  await terminal.panel.draw(render(view))
  terminal.lamps.show(view.lamps)
  await pageSays(`(document.getElementById('panel').dataset.number ?? null) !== ${JSON.stringify(before)}`)
  await page.waitForSelector(`#lightbar[data-pattern="${view.lamps}"]`, { state: 'attached' })
}

function dotsOf(view: View): string {
  const { widthPx, heightPx, bits } = render(view)
  let dots = ''
  for (let y = 0; y < heightPx; y += 1) {
    for (let x = 0; x < widthPx; x += 1) {
      dots += ((bits[y * strideBytes(widthPx) + (x >> 3)] ?? 0) & (0x80 >> (x & 7))) === 0 ? '0' : '1'
    }
  }
  return dots
}

async function start(options: Partial<BenchServerOptions>): Promise<void> {
  server = await createBenchServer({ port: 0, sandboxUrl: wallet.url, log, ...options })
  terminal = await openBench({ url: server.hardwareUrl, size, log })
  keys = []
  await terminal.keypad.start((input) => keys.push(input))
  page = await (await browser.newContext({ viewport: { width: 1280, height: 900 } })).newPage()
  page.setDefaultTimeout(8_000)
  pageProblems = []
  page.on('pageerror', (error) => pageProblems.push(String(error)))
  page.on('console', (message) => { if (message.type() === 'error') pageProblems.push(message.text()) })
  await page.goto(server.url)
  await page.waitForSelector('#link[data-state="here"]')
}

/** The same shop, with another bench. */
async function restart(options: Partial<BenchServerOptions>): Promise<void> {
  await page.context().close()
  await terminal.close()
  await server.close()
  await start(options)
}

interface Cable {
  readonly registerEnd: string
  heard(): string
  say(text: string): void
}

/** Two ptys joined by socat; the terminal's end is read and written here. */
async function layCable(): Promise<Cable> {
  const folder = await mkdtemp(join(tmpdir(), 'plinth-cable-'))
  const [registerEnd, terminalEnd] = [join(folder, 'register'), join(folder, 'terminal')]
  const socat = spawn('socat', [`pty,raw,echo=0,link=${registerEnd}`, `pty,raw,echo=0,link=${terminalEnd}`], { stdio: 'ignore' })
  await once(socat, 'spawn')
  await until(() => existsSync(registerEnd) && existsSync(terminalEnd))
  const port = new SerialPort({ path: terminalEnd, baudRate: 9600 })
  await once(port, 'open')
  let heard = ''
  port.on('data', (chunk: Buffer) => { heard += chunk.toString('latin1') })
  cleanUps.push(async () => {
    await new Promise<void>((resolve) => port.close(() => resolve()))
    socat.kill()
    await rm(folder, { recursive: true })
  })
  return { registerEnd, heard: () => heard, say: (text) => { port.write(text, 'latin1') } }
}

afterEach(() => { expect(pageProblems).toEqual([]) })

interface Wallet {
  readonly url: string
  readonly asked: unknown[]
  readonly bill: { charge: string; amount: number; currency: string; status: string; merchant: string }
  status: number
  close(): Promise<void>
}

/** The sandbox's wallet, with one bill. */
async function openWallet(): Promise<Wallet> {
  const asked: unknown[] = []
  const bill = { charge: 'chrg_test_5x1', amount: 2500, currency: 'THB', status: 'pending', merchant: 'Baan Suan Coffee' }
  const http: Server = createServer((request, response) => {
    void text(request).then((body) => {
      asked.push({ route: request.url, ...JSON.parse(body) })
      response.writeHead(opened.status, { 'content-type': 'application/json' })
      response.end(JSON.stringify(opened.status === 200 ? bill : { object: 'error', code: 'not_found' }))
    })
  })
  http.listen(0, '127.0.0.1')
  await once(http, 'listening')
  const address = http.address()
  const opened: Wallet = {
    url: `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`,
    asked, bill, status: 200,
    close: async () => {
      http.closeAllConnections()
      if (http.listening) await new Promise<void>((resolve) => http.close(() => resolve()))
    },
  }
  return opened
}

/** 'open', or the status with which the upgrade was refused. */
async function upgrade(path: string, origin?: string): Promise<'open' | number> {
  const socket = new WebSocket(server.hardwareUrl + path, origin === undefined ? {} : { origin })
  try {
    return await new Promise((resolve, reject) => {
      socket.on('open', () => resolve('open'))
      socket.on('unexpected-response', (_, response) => resolve(response.statusCode ?? 0))
      socket.on('error', reject)
    })
  } finally {
    socket.on('error', () => {})
    socket.terminate()
  }
}

/** Asks again and again; the page's own policy forbids Playwright to do that inside it. */
const pageSays = (expression: string): Promise<void> => until(async () => await page.evaluate(expression) === true)

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const giveUpAt = Date.now() + 20_000
  while (!await condition()) {
    if (Date.now() > giveUpAt) throw new Error(`still not true: ${condition.toString()}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
