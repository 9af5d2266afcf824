// Draws the icons: a post with a board that points the way. Run by hand (npm run icons) after
// a change; its output is committed, and the same on every machine.

import { writeFileSync } from "node:fs";
import { deflateSync } from "node:zlib";

/** Polygons on a grid of 128, from the back to the front. */
const shapes = [
	{ color: "#626f86", points: [[56, 8], [72, 8], [72, 124], [56, 124]] },
	{ color: "#8c9bb0", points: [[112, 76], [40, 76], [22, 92], [40, 108], [112, 108]] },
	{ color: "#1868db", points: [[10, 20], [92, 20], [122, 44], [92, 68], [10, 68]] },
];

const folder = new URL("./extension/icons/", import.meta.url);

writeFileSync(new URL("icon.svg", folder), svg());
for (const size of [16, 32, 48, 128]) writeFileSync(new URL(`${size}.png`, folder), png(size));

function svg() {
	const polygons = shapes.map(({ color, points }) => `<polygon fill="${color}" points="${points.join(" ")}"/>`);
	return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 128 128">\n${polygons.join("\n")}\n</svg>\n`;
}

/** @param {number} size */
function png(size) {
	const rows = [];
	for (let y = 0; y < size; y++) {
		rows.push(0); // no filter
		for (let x = 0; x < size; x++) rows.push(...pixel(x, y, 128 / size));
	}
	const header = Buffer.alloc(13);
	header.writeUInt32BE(size, 0);
	header.writeUInt32BE(size, 4);
	header.set([8, 6, 0, 0, 0], 8); // 8 bits, RGBA
	return Buffer.concat([
		Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
		chunk("IHDR", header),
		chunk("IDAT", deflateSync(Buffer.from(rows), { level: 9 })),
		chunk("IEND", Buffer.alloc(0)),
	]);
}

/** A pixel is the mean of 8 by 8 points. */
function pixel(column, row, scale) {
	const sum = [0, 0, 0];
	let covered = 0;
	for (let i = 0; i < 64; i++) {
		const x = (column + ((i % 8) + 0.5) / 8) * scale;
		const y = (row + (Math.floor(i / 8) + 0.5) / 8) * scale;
		const top = shapes.findLast(({ points }) => inside(points, x, y));
		if (!top) continue;
		covered++;
		for (const c of [0, 1, 2]) sum[c] += parseInt(top.color.slice(1 + 2 * c, 3 + 2 * c), 16);
	}
	return covered === 0 ? [0, 0, 0, 0] : [...sum.map((value) => Math.round(value / covered)), Math.round((covered / 64) * 255)];
}

function inside(points, x, y) {
	let odd = false;
	points.forEach(([x1, y1], i) => {
		const [x2, y2] = points[(i + 1) % points.length];
		if (y1 > y !== y2 > y && x < ((x2 - x1) * (y - y1)) / (y2 - y1) + x1) odd = !odd;
	});
	return odd;
}

function chunk(type, data) {
	const body = Buffer.concat([Buffer.from(type), data]);
	const length = Buffer.alloc(4);
	length.writeUInt32BE(data.length);
	const check = Buffer.alloc(4);
	check.writeUInt32BE(crc(body));
	return Buffer.concat([length, body, check]);
}

function crc(bytes) {
	let value = 0xffffffff;
	for (const byte of bytes) {
		value ^= byte;
		for (let i = 0; i < 8; i++) value = (value >>> 1) ^ (value & 1 ? 0xedb88320 : 0);
	}
	return (value ^ 0xffffffff) >>> 0;
}
