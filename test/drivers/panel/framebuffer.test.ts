/** An LCD behind Linux's framebuffer: on an emulated machine for every geometry, and on this one as far as it has any. */
import { existsSync, readFileSync, rmSync, symlinkSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createRenderer } from '../../../device/render.js'
import { readBack } from '../../../device/qr.js'
import { type Frame, type Panel, type PanelSize, strideBytes } from '../../../drivers/driver.js'
import type { Rotation } from '../../../drivers/panel/eink-chip.js'
import { type FramebufferPanelOptions, openFramebufferPanel, type PanelMemory } from '../../../drivers/panel/framebuffer.js'
import { panelConformance } from '../../conformance/panel.js'
import { type EmulatedFramebuffer, emptyMachine, emulateFramebuffer, type FramebufferModel } from '../../emulators/framebuffer.js'

const ROTATIONS: readonly Rotation[] = [0, 90, 180, 270]

const said: { readonly msg: string; readonly [key: string]: unknown }[] = []
const log = pino({}, { write: (line: string) => { said.push(JSON.parse(line) as typeof said[number]) } })
beforeEach(() => { said.length = 0 })

const plugged: EmulatedFramebuffer[] = []
afterEach(() => { for (const each of plugged.splice(0)) each.dispose() })

function plug(model: Partial<FramebufferModel> = {}): EmulatedFramebuffer {
  const framebuffer = emulateFramebuffer(model)
  plugged.push(framebuffer)
  return framebuffer
}

function upright({ widthPx, heightPx }: FramebufferModel, rotation: Rotation): PanelSize {
  return rotation % 180 === 0 ? { widthPx, heightPx, pitchMm: 0.18 } : { widthPx: heightPx, heightPx: widthPx, pitchMm: 0.18 }
}

const panels: Panel[] = []
afterEach(async () => { for (const panel of panels.splice(0)) await panel.close() })

async function open(framebuffer: EmulatedFramebuffer, options: Partial<FramebufferPanelOptions> = {}): Promise<Panel> {
  const rotation = options.rotation ?? 0
  const panel = await openFramebufferPanel({
    device: framebuffer.model.name, size: upright(framebuffer.model, rotation), log, roots: framebuffer.roots, ...options, rotation,
  })
  panels.push(panel)
  return panel
}

/** As a user who may only read: the superuser may write whatever a file's mode says. */
async function withoutRights<T>(work: () => Promise<T>): Promise<T> {
  if (process.getuid?.() !== 0) return work()
  process.seteuid?.(65_534)
  try {
    return await work()
  } finally {
    process.seteuid?.(0)
  }
}

/** The picture that a person sees who holds the panel as the rotation says. */
function seen(framebuffer: EmulatedFramebuffer, rotation: Rotation): Frame {
  let frame = framebuffer.visible()
  for (let turned: number = rotation; turned > 0; turned -= 90) frame = turnBack(frame)
  return frame
}

/** A quarter against the clock. */
function turnBack({ widthPx, heightPx, bits }: Frame): Frame {
  const turned = { widthPx: heightPx, heightPx: widthPx, bits: new Uint8Array(strideBytes(heightPx) * widthPx) }
  for (let y = 0; y < turned.heightPx; y++) {
    for (let x = 0; x < turned.widthPx; x++) {
      const [fromX, fromY] = [widthPx - 1 - y, x]
      if ((bits[fromY * strideBytes(widthPx) + (fromX >> 3)]! << (fromX & 7)) & 0x80) turned.bits[y * strideBytes(heightPx) + (x >> 3)]! |= 0x80 >> (x & 7)
    }
  }
  return turned
}

const PAYLOAD = 'https://qr.alipayplus.com/28166604000000000001abcDEF7719XyZ'

const codeFor = (size: PanelSize): Frame =>
  createRenderer({ size, shopName: 'Baan Kafae', language: 'th', country: 'TH', currency: 'THB', method: 'alipayplus_mpm' }).render({
    screen: 'scan to pay', lamps: 'waiting', payload: PAYLOAD, method: 'alipayplus_mpm', secondsLeft: 120,
    amount: { minor: 2_500, currency: 'THB' }, reference: 'K7M4QP',
  })

const picture = (size: PanelSize, byte: number): Frame =>
  ({ widthPx: size.widthPx, heightPx: size.heightPx, bits: new Uint8Array(strideBytes(size.widthPx) * size.heightPx).fill(byte) })

for (const rotation of ROTATIONS) {
  for (const [bitsPerPixel, paddingBytes] of [[32, 12], [16, 6]] as const) panelConformance(`a framebuffer of ${bitsPerPixel} bits at rotation ${rotation}`, async (size) => {
    const [widthPx, heightPx] = rotation % 180 === 0 ? [size.widthPx, size.heightPx] : [size.heightPx, size.widthPx]
    const framebuffer = plug({ widthPx, heightPx, bitsPerPixel, paddingBytes })
    const panel = await open(framebuffer, { size, rotation })
    return { panel, visible: () => Promise.resolve(seen(framebuffer, rotation)) }
  })
}

describe('the code of a customer can be read from the glass', () => {
  const geometries: Readonly<Record<string, Partial<FramebufferModel>>> = {
    'an SPI panel of 16 bits': {},
    'an SPI panel that lists no modes': { name: 'fb_ili9341', modes: false },
    'a panel whose rows are padded by an odd number of bytes': { paddingBytes: 7 },
    'HDMI with 32 bits and rows of 64 bytes alignment': { name: 'vc4drmfb', widthPx: 800, heightPx: 480, bitsPerPixel: 32, paddingBytes: 64 },
    'HDMI with 16 bits': { name: 'vc4drmfb', widthPx: 800, heightPx: 480 },
    'a memory of twice the height': { bitsPerPixel: 32, virtualHeightPx: 480 },
    'a memory of twice the height, of which the second half is shown': { virtualHeightPx: 480, pan: { x: 0, y: 240 } },
    'a memory that is wider than the panel, shown from its middle': { virtualWidthPx: 400, pan: { x: 40, y: 0 } },
    'a panel with red and blue exchanged, of 16 bits': { channels: 'bgr' },
    'a panel with red and blue exchanged, of 32 bits': { channels: 'bgr', bitsPerPixel: 32 },
  }
  for (const [name, model] of Object.entries(geometries)) {
    test.each(ROTATIONS)(`of ${name}, at rotation %i`, async (rotation) => {
      const framebuffer = plug(model)
      const panel = await open(framebuffer, { rotation })
      const frame = codeFor(panel.size)
      await panel.draw(frame)
      expect(await readBack(seen(framebuffer, rotation))).toBe(PAYLOAD)
      expect(seen(framebuffer, rotation)).toEqual(frame)
      framebuffer.refuseStrayBytes()
      await panel.close()
    })
  }
})

describe('a framebuffer', () => {
  test('is found by its name, whatever its number, or by its device file', async () => {
    const hdmi = plug({ name: 'vc4drmfb', widthPx: 800, heightPx: 480 })
    const spi = hdmi.plug({ name: 'panel-mipi-dbid', number: 1 })
    for (const device of ['panel-mipi-dbid', '/dev/fb1']) {
      const panel = await open(spi, { device })
      await panel.draw(picture(panel.size, 0xff))
      expect(spi.visible()).toEqual(picture(panel.size, 0xff))
      await panel.draw(picture(panel.size, 0))
      await panel.close()
    }
    expect(() => hdmi.visible()).toThrow('neither black nor white')
  })

  test('is written where a quick picture differs, and in every row by a clean or a swept one', async () => {
    const framebuffer = plug({ paddingBytes: 8 })
    const writes: { readonly at: number; readonly bytes: number }[] = []
    const memory: PanelMemory = {
      write: (bytes, at) => { writes.push({ at, bytes: bytes.length }); return Promise.resolve() },
      close: () => Promise.resolve(),
    }
    const panel = await open(framebuffer, { openMemory: () => Promise.resolve(memory) })
    const stride = 320 * 2 + 8
    const first = picture(panel.size, 0)
    await panel.draw(first, 'quick') // Nobody knows what stood there.
    await panel.draw(first, 'quick')
    const next = picture(panel.size, 0)
    for (const row of [3, 4, 200]) next.bits[row * 40 + 5] = 0x10
    await panel.draw(next, 'quick')
    await panel.draw(next, 'clean')
    await panel.draw(next, 'swept')
    const last = picture(panel.size, 0)
    for (const row of [3, 4, 200, 239]) last.bits[row * 40 + 5] = 0x10
    await panel.draw(last, 'quick')
    const whole = { at: 0, bytes: 240 * stride - 8 } // To the last dot and no further.
    expect(writes).toEqual([
      whole,
      { at: 3 * stride, bytes: 2 * stride }, { at: 200 * stride, bytes: stride },
      whole, whole,
      { at: 239 * stride, bytes: stride - 8 },
    ])
  })

  test('loses what a console wrote on it with the next clean picture', async () => {
    const framebuffer = plug()
    const panel = await open(framebuffer)
    await panel.draw(codeFor(panel.size))
    framebuffer.scribble(0)
    await panel.draw(codeFor(panel.size))
    expect(await readBack(framebuffer.visible())).toBe(PAYLOAD)
  })

  test('draws the newest of a hundred pictures that wait, and ends the overtaken ones with it', async () => {
    const framebuffer = plug()
    const written: number[] = []
    let release: () => void = () => undefined
    const memory: PanelMemory = {
      write: async (bytes) => {
        written.push(bytes.length)
        await new Promise<void>((resolve) => { release = resolve })
      },
      close: () => Promise.resolve(),
    }
    const panel = await open(framebuffer, { openMemory: () => Promise.resolve(memory) })
    const ended: number[] = []
    const drawn = Array.from({ length: 100 }, (_, i) =>
      panel.draw(picture(panel.size, i % 2 === 0 ? 0xaa : 0x55), 'quick').then(() => ended.push(i)))
    await expect.poll(() => written.length).toBe(1)
    expect(ended).toEqual([])
    release()
    await Promise.all(drawn)
    expect(written.length).toBe(1) // All were asked for before the first could begin.

    const held = panel.draw(picture(panel.size, 0), 'clean')
    await expect.poll(() => written.length).toBe(2)
    const clean = panel.draw(picture(panel.size, 1), 'clean')
    const quick = panel.draw(picture(panel.size, 0), 'quick')
    release()
    await held
    await expect.poll(() => written.length).toBe(3)
    release()
    await Promise.all([clean, quick])
    expect(written).toEqual([153_600, 153_600, 153_600]) // The clean one's wish is kept by the one that overtook it.
  })

  test('is lit, unblanked and freed from the console when it is opened', async () => {
    const framebuffer = plug()
    framebuffer.setAttribute('class/graphics/fb0/blank', '4')
    framebuffer.setAttribute('class/backlight/panel/bl_power', '4')
    framebuffer.setAttribute('class/backlight/panel/brightness', '0')
    const panel = await open(framebuffer)
    await panel.draw(picture(panel.size, 0))
    expect(framebuffer.visible()).toEqual(picture(panel.size, 0))
    expect(framebuffer.attribute('class/backlight/panel/brightness')).toBe('255')
    expect(framebuffer.attribute('class/vtconsole/vtcon1/bind')).toBe('0')
    expect(said).toEqual([])
  })

  test('is used all the same where light and console cannot be had, and says what to do', async () => {
    const framebuffer = plug()
    framebuffer.setAttribute('class/backlight/panel/bl_power', '4')
    framebuffer.allow({ device: 'write', attributes: 'read' })
    const panel = await withoutRights(() => open(framebuffer))
    await panel.draw(picture(panel.size, 0xff))
    expect(said.map(({ msg, error }) => [msg, error])).toEqual([
      ['the console writes on the panel; install 60-plinth.rules into /usr/lib/udev/rules.d and start again, or add fbcon=map:9 to cmdline.txt', 'EACCES'],
      ['panel cannot be unblanked; install 60-plinth.rules into /usr/lib/udev/rules.d and start again, or add consoleblank=0 to cmdline.txt', 'EACCES'],
      ['the backlight is off and cannot be switched on; install 60-plinth.rules into /usr/lib/udev/rules.d and start again', 'EACCES'],
    ])
    expect(said.every(({ level }) => level === 40)).toBe(true)
    expect(framebuffer.attribute('class/vtconsole/vtcon1/bind')).toBe('1')
    framebuffer.setAttribute('class/backlight/panel/bl_power', '0')
    expect(framebuffer.visible()).toEqual(picture(panel.size, 0xff))
  })

  test('that no console has is switched on by the terminal', async () => {
    const framebuffer = plug({ console: false })
    const panel = await open(framebuffer)
    await panel.draw(picture(panel.size, 0xff))
    expect(framebuffer.visible()).toEqual(picture(panel.size, 0xff))
    expect(said).toEqual([])
  })

  test('that no console has, and that the terminal may not switch on, is a fault and no black panel that seems to draw', async () => {
    const framebuffer = plug({ console: false })
    framebuffer.allow({ device: 'write', attributes: 'read' })
    await expect(withoutRights(() => open(framebuffer))).rejects.toMatchObject({
      name: 'DriverError', code: 'PANEL_OPEN_FAILED', message: expect.stringMatching(
        /^\/dev\/fb0 \(panel-mipi-dbid\) may be dark: .*fb0\/blank cannot be written \(EACCES\): install 60-plinth.rules into \/usr\/lib\/udev\/rules.d and start again$/) as string,
    })
    expect(() => framebuffer.visible()).toThrow('never switched on')
  })

  test('that knows no blanking is used as it is', async () => {
    const framebuffer = plug({ console: false })
    unlinkSync(join(framebuffer.roots.sys, 'class/graphics/fb0/blank'))
    const panel = await open(framebuffer)
    await panel.draw(picture(panel.size, 0))
    expect(said.map(({ msg, level }) => [msg, level])).toEqual([['panel cannot be blanked, and so it is not', 30]])
  })

  test('keeps its last picture, and its light, when it is closed', async () => {
    const framebuffer = plug()
    const panel = await open(framebuffer)
    await panel.draw(picture(panel.size, 0))
    await panel.close()
    expect(framebuffer.visible()).toEqual(picture(panel.size, 0))
  })
})

describe('a framebuffer that is asked whether it answers', () => {
  test('says so as long as the kernel says of it what it said', async () => {
    const framebuffer = plug()
    const panel = await open(framebuffer)
    await expect(panel.check?.()).resolves.toBeUndefined()
    framebuffer.setAttribute('class/graphics/fb0/stride', '1280')
    await expect(panel.check?.()).rejects.toMatchObject({ code: 'PANEL_OPEN_FAILED', message: expect.stringContaining('1280 bytes a row; it was') as string })
  })

  test('does not when its driver is gone, or its name belongs to another', async () => {
    const framebuffer = plug()
    const panel = await open(framebuffer)
    framebuffer.setAttribute('class/graphics/fb0/name', 'vc4drmfb')
    await expect(panel.check?.()).rejects.toMatchObject({ code: 'PANEL_OPEN_FAILED', message: expect.stringContaining('there is no framebuffer panel-mipi-dbid') as string })
    rmSync(join(framebuffer.roots.sys, 'class/graphics'), { recursive: true })
    await expect(panel.check?.()).rejects.toMatchObject({ code: 'PANEL_OPEN_FAILED' })
  })
})

describe('a framebuffer that cannot be used says why', () => {
  const refused = (framebuffer: EmulatedFramebuffer, options: Partial<FramebufferPanelOptions> = {}): Promise<unknown> =>
    open(framebuffer, options).then(() => 'opened', (error: unknown) => error)

  test('when the machine has none', async () => {
    const machine = emptyMachine()
    await expect(openFramebufferPanel({
      device: 'vc4drmfb', size: { widthPx: 320, heightPx: 240, pitchMm: 0.18 }, rotation: 0, log, roots: { sys: join(machine, 'sys'), dev: join(machine, 'dev') },
    })).rejects.toMatchObject({ name: 'DriverError', code: 'PANEL_OPEN_FAILED', message: expect.stringMatching(/^this machine has no framebuffer .*overlay/) as string })
    rmSync(machine, { recursive: true })
  })

  test.each(['fb_ili9341', '/dev/fb7'])('when there is no %s: it lists those that are there', async (device) => {
    const framebuffer = plug({ name: 'vc4drmfb' })
    framebuffer.plug({ name: 'simple', number: 1 })
    expect(await refused(framebuffer, { device })).toMatchObject({
      code: 'PANEL_OPEN_FAILED', message: `there is no framebuffer ${device}; there are vc4drmfb (/dev/fb0), simple (/dev/fb1)`,
    })
  })

  test('when two have the name', async () => {
    const framebuffer = plug()
    framebuffer.plug({ number: 1 })
    expect(await refused(framebuffer)).toMatchObject({
      code: 'PANEL_OPEN_FAILED',
      message: 'several framebuffers are named panel-mipi-dbid: panel-mipi-dbid (/dev/fb0), panel-mipi-dbid (/dev/fb1); name the one by its path',
    })
  })

  test.each(ROTATIONS)('when the profile has another size at rotation %i: it says both', async (rotation) => {
    const across = rotation % 180 === 0 ? '320x240' : '240x320'
    expect(await refused(plug(), { rotation, size: { widthPx: 480, heightPx: 320, pitchMm: 0.18 } })).toMatchObject({
      code: 'PANEL_WRONG_SIZE',
      message: `the profile says 480x320 dots at rotation ${rotation}; /dev/fb0 (panel-mipi-dbid) has 320x240, which is ${across} at that rotation`,
    })
  })

  test.each([1, 8, 18, 24])('when it has %i bits a dot', async (bitsPerPixel) => {
    expect(await refused(plug({ bitsPerPixel }))).toMatchObject({
      code: 'PANEL_OPEN_FAILED', message: expect.stringContaining(`/dev/fb0 (panel-mipi-dbid) has ${bitsPerPixel} bits a dot; 16 (RGB565) and 32`) as string,
    })
  })

  test.each([['stride', '600'], ['stride', ''], ['virtual_size', 'many'], ['virtual_size', '0,0'], ['pan', '0,8'], ['bits_per_pixel', '']])(
    'when its %s is "%s", which is no geometry', async (name, text) => {
      const framebuffer = plug()
      framebuffer.setAttribute(`class/graphics/fb0/${name}`, text)
      expect(await refused(framebuffer)).toMatchObject({ code: 'PANEL_OPEN_FAILED' })
    })

  test('when its device file is not there', async () => {
    const framebuffer = plug()
    unlinkSync(join(framebuffer.roots.dev, 'fb0'))
    expect(await refused(framebuffer)).toMatchObject({
      code: 'PANEL_OPEN_FAILED', message: `cannot open ${framebuffer.roots.dev}/fb0 (ENOENT)`,
    })
  })

  test('when the user may not write to it', async () => {
    const framebuffer = plug()
    framebuffer.allow({ device: 'read', attributes: 'read' })
    expect(await withoutRights(() => refused(framebuffer))).toMatchObject({
      code: 'PANEL_OPEN_FAILED',
      message: `cannot open ${framebuffer.roots.dev}/fb0 (EACCES): whoever runs the terminal must be in the group video`,
    })
    expect(said).toEqual([])
  })

  test('when it is full or gone: the picture fails, and the next one is written whole', async () => {
    const framebuffer = plug()
    const device = join(framebuffer.roots.dev, 'fb0')
    unlinkSync(device)
    symlinkSync('/dev/full', device)
    const panel = await open(framebuffer)
    await expect(panel.draw(picture(panel.size, 0))).rejects.toMatchObject({
      code: 'PANEL_WRITE_FAILED', message: 'cannot write to /dev/fb0 (panel-mipi-dbid) (ENOSPC)',
    })
    await expect(panel.draw(picture(panel.size, 0), 'quick')).rejects.toMatchObject({ code: 'PANEL_WRITE_FAILED' })
    await panel.close()
  })

  test('when it does not answer: in its time, and no picture that waited comes later', async () => {
    const framebuffer = plug()
    const written: number[] = []
    let answer: () => void = () => undefined
    const memory: PanelMemory = {
      write: (_, at) => { written.push(at); return new Promise((resolve) => { answer = resolve }) },
      close: () => Promise.resolve(),
    }
    const panel = await open(framebuffer, { openMemory: () => Promise.resolve(memory), drawMs: 30 })
    const first = panel.draw(picture(panel.size, 0xff))
    await expect.poll(() => written).toEqual([0])
    const ends = [first, panel.draw(picture(panel.size, 0xaa))].map((drawn) => drawn.catch((error: unknown) => error))
    for (const end of await Promise.all(ends)) expect(end).toMatchObject({ code: 'PANEL_TIMEOUT', message: '/dev/fb0 (panel-mipi-dbid) did not draw in 30 ms' })
    await expect(panel.draw(picture(panel.size, 0))).rejects.toMatchObject({ code: 'PANEL_TIMEOUT' })
    answer()
    await panel.close()
    expect(written).toEqual([0])
  })
})

describe('this machine', () => {
  test('draws on its framebuffer, or says that it has none', async () => {
    const opening = openFramebufferPanel({ device: '/dev/fb0', size: { widthPx: 64, heightPx: 64, pitchMm: 0.2 }, rotation: 0, log })
    const error: unknown = await opening.then(() => undefined, (cause: unknown) => cause)
    if (!existsSync('/sys/class/graphics/fb0')) {
      expect(error).toMatchObject({ code: 'PANEL_OPEN_FAILED', message: expect.stringMatching(/^this machine has no framebuffer/) as string })
      return
    }
    // Its size is not ours to know: what it says of itself must be what it can be opened with.
    expect(error).toMatchObject({ code: 'PANEL_WRONG_SIZE' })
    const [, widthPx = 0, heightPx = 0] = (/has (\d+)x(\d+)/.exec(String(error)) ?? []).map(Number)
    const size = { widthPx, heightPx, pitchMm: 0.2 }
    const panel = await openFramebufferPanel({ device: '/dev/fb0', size, rotation: 0, log })
    const [stride, bytesPerDot] = ['stride', 'bits_per_pixel'].map((name) => Number(readFileSync(join('/sys/class/graphics/fb0', name), 'utf8')))
      .map((value, i) => (i === 0 ? value : value / 8)) as [number, number]
    const [panX = 0, panY = 0] = readFileSync('/sys/class/graphics/fb0/pan', 'utf8').split(',').map(Number)
    /** Dark dots of the kernel's own memory, row by row. */
    const dark = (): readonly string[] => {
      const memory = readFileSync('/dev/fb0')
      return Array.from({ length: heightPx }, (_, y) => Array.from({ length: widthPx }, (__, x) =>
        (memory[(panY + y) * stride + (panX + x) * bytesPerDot] === 0 ? '#' : '.')).join(''))
    }
    const row = (byte: number): string => byte.toString(2).padStart(8, '0').replaceAll('0', '.').replaceAll('1', '#').repeat(widthPx).slice(0, widthPx)
    for (const [byte, refresh] of [[0, 'clean'], [0x3a, 'quick'], [0xff, 'swept'], [0, 'clean']] as const) {
      await panel.draw(picture(size, byte), refresh)
      expect(dark()).toEqual(Array.from({ length: heightPx }, () => row(byte)))
    }
    await panel.check?.()
    await panel.close()
  })
})
