import"./chunk-7HE6I6PH.js";import{d as a}from"./chunk-BEDFW2D4.js";import"./chunk-4VS3GB2J.js";export{a as connect};
