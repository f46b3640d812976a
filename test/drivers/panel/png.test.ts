import { createHash } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createCanvas, loadImage } from 'canvas'
import { afterEach, describe, expect, test } from 'vitest'
import { type Frame, type PanelSize, strideBytes } from '../../../drivers/driver.js'
import { encodePng, openPngPanel, PICTURES_MAX } from '../../../drivers/panel/png.js'
import { panelConformance } from '../../conformance/panel.js'

const folders: string[] = []
async function folder(): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), 'plinth-png-'))
  folders.push(made)
  return made
}
afterEach(async () => {
  for (const made of folders.splice(0)) await rm(made, { recursive: true, force: true })
})

/** Reads a picture as any viewer would, with a decoder that is not ours. */
async function seen(path: string): Promise<Frame> {
  const image = await loadImage(await readFile(path))
  const context = createCanvas(image.width, image.height).getContext('2d')
  context.drawImage(image, 0, 0)
  const { data } = context.getImageData(0, 0, image.width, image.height)
  const bits = new Uint8Array(strideBytes(image.width) * image.height)
  for (let y = 0; y < image.height; y++) {
    for (let x = 0; x < image.width; x++) {
      const at = y * strideBytes(image.width) + (x >> 3)
      if ((data[4 * (y * image.width + x)] ?? 0) < 128) bits[at] = (bits[at] ?? 0) | (0x80 >> (x & 7))
    }
  }
  return { widthPx: image.width, heightPx: image.height, bits }
}

panelConformance('the folder of pictures', async (size) => {
  const directory = await folder()
  const panel = await openPngPanel({ directory, size })
  return { panel, visible: () => seen(join(directory, 'latest.png')) }
})

describe('a folder of pictures', () => {
  const size: PanelSize = { widthPx: 64, heightPx: 64, pitchMm: 0.2 }
  const picture = (byte: number): Frame => ({ ...size, bits: new Uint8Array(8 * 64).fill(byte) })

  test('keeps every picture under its number, and the last one under its name', async () => {
    const directory = await folder()
    const panel = await openPngPanel({ directory, size })
    await panel.draw(picture(1))
    await panel.draw(picture(2))
    expect((await readdir(directory)).sort()).toEqual(['0001.png', '0002.png', 'latest.png'])
    expect((await seen(join(directory, '0001.png'))).bits).toEqual(picture(1).bits)
    expect(await readFile(join(directory, 'latest.png'))).toEqual(await readFile(join(directory, '0002.png')))
  })

  test('counts on from the pictures of an earlier run', async () => {
    const directory = await folder()
    await writeFile(join(directory, '0041.png'), encodePng(picture(0)))
    const panel = await openPngPanel({ directory, size })
    await panel.draw(picture(1))
    expect((await readdir(directory)).sort()).toEqual(['0041.png', '0042.png', 'latest.png'])
  })

  test('never holds more than the newest pictures', async () => {
    const directory = await folder()
    const panel = await openPngPanel({ directory, size })
    for (let i = 0; i < PICTURES_MAX + 5; i++) await panel.draw(picture(i))
    const names = (await readdir(directory)).filter((name) => name !== 'latest.png').sort()
    expect(names).toHaveLength(PICTURES_MAX)
    expect(names[0]).toBe('0006.png')
  })

  test('makes the folder, and says so with its name when it cannot', async () => {
    const directory = await folder()
    await (await openPngPanel({ directory: join(directory, 'a', 'b'), size })).draw(picture(0))
    await writeFile(join(directory, 'file'), '')
    await expect(openPngPanel({ directory: join(directory, 'file'), size }))
      .rejects.toMatchObject({ code: 'PANEL_WRITE_FAILED', message: `cannot use ${join(directory, 'file')} as a panel (EEXIST)` })
  })

  test('a picture that cannot be written is a failure, and the next one is drawn all the same', async () => {
    const directory = await folder()
    const panel = await openPngPanel({ directory, size })
    await rm(directory, { recursive: true })
    await expect(panel.draw(picture(1))).rejects.toMatchObject({ code: 'PANEL_WRITE_FAILED' })
    await openPngPanel({ directory, size })
    await panel.draw(picture(2))
    expect((await seen(join(directory, 'latest.png'))).bits).toEqual(picture(2).bits)
  })

  test('the same picture is the same file', () => {
    const digest = () => createHash('sha256').update(encodePng(picture(3))).digest('hex')
    expect(digest()).toBe(digest())
  })
})
