import { createCanvas, loadImage } from 'canvas'
import { describe, expect, it } from 'vitest'
import { blackAndWhitePng } from '../../../cloud/sandbox/png.js'

/** What another PNG reader sees: '#' dark, '.' light, ' ' nothing there. */
async function seen(png: Buffer): Promise<string[]> {
  const image = await loadImage(png)
  const context = createCanvas(image.width, image.height).getContext('2d')
  context.drawImage(image, 0, 0)
  const { data } = context.getImageData(0, 0, image.width, image.height)
  return Array.from({ length: image.height }, (_row, y) =>
    Array.from({ length: image.width }, (_dot, x) => {
      const at = (y * image.width + x) * 4
      return data[at + 3] === 0 ? ' ' : data[at] === 0 ? '#' : '.'
    }).join(''))
}

const picture = ['#.........#', '.##......##', '..........#']
const rows = picture.map((row) => [...row].map((dot) => dot === '#'))

describe('a black-and-white PNG', () => {
  it('shows every dot where it was, also when a row does not fill its last byte', async () => {
    expect(await seen(blackAndWhitePng(rows, false))).toEqual(picture)
  })

  it('lets the page through where it is light, when asked', async () => {
    expect(await seen(blackAndWhitePng(rows, true))).toEqual(picture.map((row) => row.replaceAll('.', ' ')))
  })
})
