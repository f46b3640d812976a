/**
 * A framebuffer as Linux shows one: a file in dev/ and its folder in sys/, for any depth, stride, virtual size and pan. It
 * says what a person would see, and it knows no driver: it reads the file as a display's hardware does.
 */
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Frame, strideBytes } from '../../drivers/driver.js'

export interface FramebufferModel {
  readonly name: string
  /** N of /dev/fbN. */
  readonly number: number
  readonly widthPx: number
  readonly heightPx: number
  readonly bitsPerPixel: number
  /** Bytes beyond those that the dots of a row need. */
  readonly paddingBytes: number
  /** Dots of memory beyond those that are seen; double buffering has twice the height. */
  readonly virtualWidthPx: number
  readonly virtualHeightPx: number
  readonly pan: { readonly x: number; readonly y: number }
  /** The order of its colours. */
  readonly channels: 'rgb' | 'bgr'
  /** fbtft and others list no mode. */
  readonly modes: boolean
  /** A console has it, and has switched it on; without one it is dark until somebody writes its `blank`, as behind DRM. */
  readonly console: boolean
}

export interface EmulatedFramebuffer {
  readonly model: FramebufferModel
  readonly roots: { readonly sys: string; readonly dev: string }
  /** What a person sees who looks at the panel as it lies. Throws when it is dark, or a dot is neither black nor white. */
  visible(): Frame
  /** Throws when a byte was written that is no dot of the picture. */
  refuseStrayBytes(): void
  /** A text of sysfs, such as 'class/backlight/panel/bl_power'. */
  attribute(path: string): string
  setAttribute(path: string, text: string): void
  /** What users without rights of their own may do. */
  allow(rights: { readonly device: 'read' | 'write'; readonly attributes: 'read' | 'write' }): void
  /** Fills the memory, as a console or another program might. */
  scribble(byte: number): void
  /** Adds another framebuffer to the same machine. */
  plug(model: Partial<FramebufferModel>): EmulatedFramebuffer
  dispose(): void
}

const MODEL: FramebufferModel = {
  name: 'panel-mipi-dbid', number: 0, widthPx: 320, heightPx: 240, bitsPerPixel: 16, paddingBytes: 0,
  virtualWidthPx: 0, virtualHeightPx: 0, pan: { x: 0, y: 0 }, channels: 'rgb', modes: true, console: true,
}

/** What the memory holds before anything is written: no dot of ours. */
const UNTOUCHED = 0x5a

/** `machine` is a folder with a sysfs that has nothing in it yet. */
export function emulateFramebuffer(changes: Partial<FramebufferModel> = {}, machine = emptyMachine()): EmulatedFramebuffer {
  const given = { ...MODEL, ...changes }
  const model: FramebufferModel = {
    ...given, virtualWidthPx: given.virtualWidthPx || given.widthPx, virtualHeightPx: given.virtualHeightPx || given.heightPx,
  }
  const roots = { sys: join(machine, 'sys'), dev: join(machine, 'dev') }
  const memory = join(roots.dev, `fb${model.number}`)
  const stride = Math.ceil(model.virtualWidthPx * model.bitsPerPixel / 8) + model.paddingBytes
  const folder = `class/graphics/fb${model.number}`
  const at = (path: string): string => join(roots.sys, path)
  const texts: Readonly<Record<string, string>> = {
    [`${folder}/name`]: model.name,
    [`${folder}/virtual_size`]: `${model.virtualWidthPx},${model.virtualHeightPx}`,
    [`${folder}/bits_per_pixel`]: String(model.bitsPerPixel),
    [`${folder}/stride`]: String(stride),
    [`${folder}/modes`]: model.modes ? `U:${model.widthPx}x${model.heightPx}p-60` : '',
    [`${folder}/pan`]: `${model.pan.x},${model.pan.y}`,
    [`${folder}/blank`]: '', // The kernel's own answer, whether blanked or not.
    'class/vtconsole/vtcon0/name': '(S) dummy device',
    'class/vtconsole/vtcon0/bind': '0',
    ...model.console ? { 'class/vtconsole/vtcon1/name': '(M) frame buffer device', 'class/vtconsole/vtcon1/bind': '1' } : {},
    'class/backlight/panel/bl_power': '0',
    'class/backlight/panel/brightness': '255',
    'class/backlight/panel/max_brightness': '255',
    'class/graphics/fbcon/rotate': '0',
  }
  mkdirSync(roots.dev, { recursive: true })
  const put = (path: string, text: string): void => {
    mkdirSync(join(at(path), '..'), { recursive: true })
    writeFileSync(at(path), `${text}\n`)
  }
  for (const [path, text] of Object.entries(texts)) put(path, text)
  writeFileSync(memory, Buffer.alloc(stride * model.virtualHeightPx, UNTOUCHED))

  const attribute = (path: string): string => readFileSync(at(path), 'utf8').trim().split('\n')[0] ?? ''
  const firstByte = model.pan.y * stride + model.pan.x * model.bitsPerPixel / 8

  return {
    model,
    roots,
    visible() {
      if (/^[1-4]/.test(attribute(`${folder}/blank`))) throw new Error('the panel is blanked')
      if (!model.console && attribute(`${folder}/blank`) === '') throw new Error('the panel was never switched on')
      if (attribute('class/backlight/panel/bl_power') !== '0' || attribute('class/backlight/panel/brightness') === '0') throw new Error('the backlight is off')
      return look(readFileSync(memory), model, stride, firstByte)
    },
    refuseStrayBytes() {
      const bytes = readFileSync(memory)
      const size = stride * model.virtualHeightPx
      if (bytes.length !== size) throw new Error(`${bytes.length} bytes in a memory of ${size}`)
      const end = firstByte + (model.heightPx - 1) * stride + model.widthPx * model.bitsPerPixel / 8
      const stray = bytes.findIndex((byte, index) => (index < firstByte || index >= end) && byte !== UNTOUCHED)
      if (stray >= 0) throw new Error(`byte ${stray} is not of the picture, and was written`)
    },
    attribute,
    setAttribute: put,
    allow({ device, attributes }) {
      chmodSync(machine, 0o755)
      const mode = { read: 0o644, write: 0o666 }
      chmodSync(memory, mode[device])
      for (const path of Object.keys(texts)) chmodSync(at(path), mode[attributes])
    },
    scribble: (byte) => writeFileSync(memory, Buffer.alloc(statSync(memory).size, byte), { flag: 'r+' }),
    plug: (more) => emulateFramebuffer(more, machine),
    dispose: () => rmSync(machine, { recursive: true, force: true }),
  }
}

export function emptyMachine(): string {
  const machine = mkdtempSync(join(tmpdir(), 'plinth-framebuffer-'))
  mkdirSync(join(machine, 'dev'))
  return machine
}

function look(bytes: Buffer, { widthPx, heightPx, bitsPerPixel, channels }: FramebufferModel, stride: number, firstByte: number): Frame {
  const bits = new Uint8Array(strideBytes(widthPx) * heightPx)
  for (let y = 0; y < heightPx; y++) {
    for (let x = 0; x < widthPx; x++) {
      const at = firstByte + y * stride + x * bitsPerPixel / 8
      const { red, green, blue } = bitsPerPixel === 16 ? colour565(bytes.readUInt16LE(at), channels) : colour8888(bytes.readUInt32LE(at), channels)
      const light = [red, green, blue].join()
      if (light === '0,0,0') bits[y * strideBytes(widthPx) + (x >> 3)]! |= 0x80 >> (x & 7)
      else if (light !== '255,255,255') throw new Error(`dot ${x},${y} is neither black nor white: ${light}`)
    }
  }
  return { widthPx, heightPx, bits }
}

interface Colour {
  readonly red: number
  readonly green: number
  readonly blue: number
}

const full = (value: number, bits: number): number => Math.round(value * 255 / (2 ** bits - 1))

function colour565(dot: number, channels: 'rgb' | 'bgr'): Colour {
  const [high, middle, low] = [full(dot >> 11, 5), full((dot >> 5) & 0x3f, 6), full(dot & 0x1f, 5)]
  return channels === 'rgb' ? { red: high, green: middle, blue: low } : { red: low, green: middle, blue: high }
}

/** The highest byte is opacity where a display has it: what is not opaque shows what lies behind. */
function colour8888(dot: number, channels: 'rgb' | 'bgr'): Colour {
  if (dot >>> 24 !== 0xff) throw new Error(`a dot is not opaque: ${dot.toString(16)}`)
  const [high, middle, low] = [(dot >> 16) & 0xff, (dot >> 8) & 0xff, dot & 0xff]
  return channels === 'rgb' ? { red: high, green: middle, blue: low } : { red: low, green: middle, blue: high }
}
