/** The code document, read back by decoders the sandbox does not use. */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { initWasm, Resvg } from '@resvg/resvg-wasm'
import { beforeAll, describe, expect, it } from 'vitest'
import { prepareZXingModule, readBarcodes } from 'zxing-wasm/reader'
import { type Json, openShop, type Shop } from './shop.js'

const require = createRequire(import.meta.url)
beforeAll(async () => {
  await initWasm(readFileSync(require.resolve('@resvg/resvg-wasm/index_bg.wasm')))
  prepareZXingModule({ overrides: { wasmBinary: new Uint8Array(readFileSync(require.resolve('zxing-wasm/reader/zxing_reader.wasm'))).buffer } })
})

const uriOf = (charge: Json): string => charge.source.scannable_code.image.download_uri

async function download(uri: string): Promise<{ type: string | null; bytes: Uint8Array }> {
  const response = await fetch(uri, { signal: AbortSignal.timeout(10_000) })
  expect(response.status).toBe(200)
  return { type: response.headers.get('content-type'), bytes: new Uint8Array(await response.arrayBuffer()) }
}

async function textIn(bytes: Uint8Array): Promise<string | undefined> {
  const svg = new TextDecoder().decode(bytes)
  const png = svg.startsWith('<?xml') ? new Resvg(svg, { background: 'white', fitTo: { mode: 'width', value: 400 } }).render().asPng() : bytes
  return (await readBarcodes(png, { formats: ['QRCode'] }))[0]?.text
}

const MPM = 'amount=2500&currency=THB&source[type]=alipayplus_mpm'

describe('the code document', () => {
  it.each(['rects', 'path', 'embedded png', 'viewBox only'] as const)('as SVG of %s shows the charge\'s text, without a key', async (svgStyle) => {
    const shop = await openShop({ switches: { svgStyle } })
    const charge = await shop.newCharge()
    const { type, bytes } = await download(uriOf(charge))
    const markup = new TextDecoder().decode(bytes)
    expect(type).toBe('image/svg+xml')
    expect(markup.startsWith('<?xml')).toBe(true)
    expect([/<g [^>]*><?\n?<rect/.test(markup), markup.includes('<path'), markup.includes('data:image/png;base64,'), / width="\d+" height="\d+" viewBox/.test(markup)])
      .toEqual([svgStyle === 'rects', svgStyle === 'path' || svgStyle === 'viewBox only', svgStyle === 'embedded png', svgStyle === 'rects' || svgStyle === 'path'])
    expect(await textIn(bytes)).toBe(await shop.payloadOf(charge))
  })

  it('as PNG shows it too, by switch, by qr_settings or by asking for the format', async () => {
    const shop = await openShop({ switches: { documentFormat: 'png' } })
    const png = await shop.newCharge()
    expect(png.source.scannable_code.image.filename).toBe('qrcode.png')
    shop.sandbox.turn({ documentFormat: 'svg', qrSettings: 'honoured' })
    const wished = await shop.newCharge(`${MPM}&source[qr_settings][image_type]=png`)
    expect(wished.source.scannable_code.image.filename).toBe('qrcode.png')
    const svg = await shop.newCharge()
    for (const [charge, uri] of [[png, uriOf(png)], [wished, uriOf(wished)], [svg, `${uriOf(svg)}?format=png`]] as const) {
      const { type, bytes } = await download(uri)
      expect([type, bytes.slice(0, 4)]).toEqual(['image/png', new Uint8Array([0x89, 0x50, 0x4e, 0x47])])
      expect(await textIn(bytes)).toBe(await shop.payloadOf(charge))
    }
  })

  it('may come without a background, under another type, or behind redirects', async () => {
    const shop = await openShop({ switches: { documentBackground: 'transparent', documentContentType: 'application/octet-stream', documentRedirects: 2 } })
    const charge = await shop.newCharge()
    const { type, bytes } = await download(uriOf(charge))
    expect(type).toBe('application/octet-stream')
    expect(new TextDecoder().decode(bytes)).not.toContain('#ffffff')
    expect(await textIn(bytes)).toBe(await shop.payloadOf(charge))
    expect((await fetch(uriOf(charge), { redirect: 'manual' })).status).toBe(302)
    const png = (await download(`${uriOf(charge)}?format=png`)).bytes
    expect(Buffer.from(png).includes('tRNS')).toBe(true)
    expect(uriOf(charge).startsWith(shop.sandbox.url)).toBe(true)
  })

  it('is described at its location for the secret key, and found under no guessed address', async () => {
    const shop = await openShop()
    const charge = await shop.newCharge()
    const { image } = charge.source.scannable_code
    expect((await shop.ask('GET', image.location)).json).toEqual(image)
    expect((await shop.ask('GET', image.location, { key: null })).status).toBe(401)
    const guess = uriOf(charge).replace(/.{16}$/, '0000000000000000')
    expect((await shop.ask('GET', guess, { key: null })).status).toBe(404)
    const other = await shop.newCharge()
    expect((await shop.ask('GET', uriOf(charge).replace(charge.id, other.id), { key: null })).status).toBe(404)
  })
})

describe('the text in the code', () => {
  const payload = async (shop: Shop, form: string) => shop.payloadOf(await shop.newCharge(form))

  it('of Alipay+ is an address of 60 to 100 characters on a reserved domain, another one each time', async () => {
    const shop = await openShop()
    const texts = [await payload(shop, MPM), await payload(shop, MPM)]
    for (const text of texts) {
      expect(new URL(text).hostname).toBe('order.alipayplus.example')
      expect(text.length).toBeGreaterThanOrEqual(60)
      expect(text.length).toBeLessThanOrEqual(100)
    }
    expect(texts[0]).not.toBe(texts[1])
  })

  it('of PromptPay is EMVCo with amount, currency, country and a true checksum', async () => {
    const text = await payload(await openShop(), 'amount=150005&currency=THB&source[type]=promptpay')
    const fields = new Map<string, string>()
    for (let at = 0; at < text.length;) {
      const length = Number(text.slice(at + 2, at + 4))
      fields.set(text.slice(at, at + 2), text.slice(at + 4, at + 4 + length))
      at += 4 + length
    }
    expect([fields.get('00'), fields.get('01'), fields.get('53'), fields.get('54'), fields.get('58')]).toEqual(['01', '12', '764', '1500.05', 'TH'])
    expect([...fields.keys()].at(-1)).toBe('63')
    expect(fields.get('63')).toBe(checksum(text.slice(0, -4)))
    expect(checksum('123456789')).toBe('29B1') // the check value published for CRC-16/CCITT-FALSE
  })

  it('stays out of every answer unless raw_data is switched on', async () => {
    const shop = await openShop({ switches: { rawData: false } })
    const charge = await shop.newCharge()
    expect(Object.keys(charge.source.scannable_code)).toEqual(['object', 'type', 'image'])
    shop.sandbox.turn({ rawData: true })
    const text = await shop.payloadOf(charge)
    expect(text).toMatch(/^https:/)
    shop.sandbox.turn({ rawData: false })
    for (const path of [`/charges/${charge.id}`, '/charges', '/events', `/sources/${charge.source.id}`]) {
      expect((await shop.ask('GET', path)).text).not.toContain('order.alipayplus.example')
    }
  })
})

/** The long way: one division of the whole message by x^16 + x^12 + x^5 + 1. */
function checksum(ascii: string): string {
  const bits = [...Buffer.from(ascii), 0, 0].flatMap((byte) => [7, 6, 5, 4, 3, 2, 1, 0].map((shift) => (byte >> shift) & 1))
  for (let at = 0; at < 16; at++) bits[at] = (bits[at] ?? 0) ^ 1
  for (let at = 0; at + 16 < bits.length; at++) {
    if (bits[at] === 1) for (const tap of [0, 4, 11, 16]) bits[at + tap] = (bits[at + tap] ?? 0) ^ 1
  }
  return parseInt(bits.slice(-16).join(''), 2).toString(16).toUpperCase().padStart(4, '0')
}
